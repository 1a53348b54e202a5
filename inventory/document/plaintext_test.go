package document

import (
	"strings"
	"testing"
)

func TestPlaintextSecretsAreRecognised(t *testing.T) {
	for text, want := range map[string]string{
		"[client]\npassword=hunter2\n":                        "the value of password",
		"DB_PASSWORD: hunter2":                                "the value of DB_PASSWORD",
		`{"password": "hunter2", "user": "ann"}`:              "the value of password",
		`{"user":"ann","apiKey":"a1b2c3"}`:                    "the value of apiKey",
		"username=ann,password=hunter2,domain=LAN":            "the value of password",
		"lxc.environment=HF_TOKEN=a1b2c3d4":                   "the value of HF_TOKEN",
		"export API_KEY='a1b2c3d4'":                           "the value of API_KEY",
		"run --password=hunter2 now":                          "the value of password",
		"network={\n  psk=\"correct horse\"\n}":               "the value of psk",
		"PrivateKey = aGVsbG8gd29ybGQ=":                       "the value of PrivateKey",
		"password=$(cat /x) # not this\ntoken=a1b2c3d4":       "the value of token",
		"password=$PASS token=a1b2c3d4":                       "the value of token",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n":         "a private key",
		"-----BEGIN PRIVATE KEY-----":                         "a private key",
		"x AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQ":          "a private key",
		"curl -H 'Authorization: Bearer abcdefghijklmnop1'":   "a token",
		"git clone as ghp_" + strings.Repeat("a", 36):         "a token",
		"hf_" + strings.Repeat("b", 34):                       "a token",
		"Acquire::http::Proxy \"http://ann:hunter2@proxy/\";": "a password in an address",
		"redis://:hunter2@cache":                              "a password in an address",
	} {
		got := PlaintextSecret(text)
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if strings.Contains(got, "hunter2") || strings.Contains(got, "a1b2") {
			t.Errorf("%q: the secret is told: %q", text, got)
		}
	}
}

func TestReferencesAndProseAreNoPlaintextSecrets(t *testing.T) {
	for _, text := range []string{
		"", "This is pve1.\n",
		"password=$PASSWORD", "password=${vars.password}", "PASSWORD=$(pass show lab/x)", "password = \"$1\"", "token=`cat /run/t`",
		"password=/run/secrets/db", "token: ~/.config/token", "password: {{ db_password }}", "password: <yours>", "password: !vault |", "password: \"\"", "password=",
		"PasswordAuthentication no", "PasswordAuthentication=no", "PermitRootLogin prohibit-password", "unix password sync = yes", "passwd program = /usr/bin/passwd %u",
		"password: required", "password = true", "token=12345", "password=xxxxxxxx", "password: ****", "password: none,",
		"# password=hunter2", "  ; password = hunter2", "// token: abcdefgh",
		"password\t[success=1 default=ignore]\tpam_unix.so", "password requisite pam_pwquality.so retry=3",
		"The password: stored in the vault", "ask for the token: nobody knows it",
		`{"content": {"secret": "samba_password"}}`, `"password": {"secret": "db"}`, "token: vault:lab/db", `password: "env:DB"`,
		"password = getpass()", "token = os.environ['TOKEN']", `[ "$password" = "unset" ]`, "${TOKEN:=abcdef}", "$TOKEN=abcdef",
		"password_file: /etc/x", "PASSWORD_MIN_LEN=12345678", "max_tokens=40960", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKEHxLAE5Dsj9xYQPJSB0F1z ann",
		"-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----BEGIN CERTIFICATE-----", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kdf2",
		"https://download.proxmox.com/debian/pve", "http://proxy:3128/", "https://user@host/x", "https://user:${PASS}@host/", "docker://nginx:1.25@sha256:abc", "ssh://git@host:22/x",
		"Authorization: Bearer $TOKEN", "Authorization: Bearer ${vars.token_for_this_host}",
	} {
		if got := PlaintextSecret(text); got != "" {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

func FuzzPlaintextSecret(f *testing.F) {
	f.Add("password=hunter2")
	f.Add(`{"token": "a1b2c3", "x": 1}`)
	f.Add("https://ann:hunter2@x")
	f.Fuzz(func(t *testing.T, text string) { // the property: what is told is a kind, or a name that the text has
		got := PlaintextSecret(text)
		name, isValue := strings.CutPrefix(got, "the value of ")
		if isValue && (!strings.Contains(text, name) || strings.ContainsAny(name, " \n=:\"'")) {
			t.Fatalf("%q gives %q", text, got)
		}
	})
}
