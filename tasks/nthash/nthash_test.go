package nthash

import (
	"fmt"
	"testing"
)

// TestSum_isWhatSambaKeeps has what pdbedit of Samba 4.17 printed for these passwords.
func TestSum_isWhatSambaKeeps(t *testing.T) {
	for password, want := range map[string]string{
		"":          "31D6CFE0D16AE931B73C59D7E0C089C0",
		"password":  "8846F7EAEE8FB117AD06BDD830B7586C",
		"password2": "E22E04519AA757D12F1219C4F31252F4",
		"passwörd":  "36A5D699E151491DAB65681987BD50B2",
	} {
		if got := Sum(password); got != want {
			t.Errorf("%q has %s, want %s", password, got, want)
		}
	}
}

// TestMD4 has the vectors of RFC 1320.
func TestMD4(t *testing.T) {
	for text, want := range map[string]string{
		"abc":                        "a448017aaf21d8525fc10ae87aa6729d",
		"abcdefghijklmnopqrstuvwxyz": "d79e1c308aa5bbcdeea8ed63df412da9",
		"12345678901234567890123456789012345678901234567890123456789012345678901234567890": "e33b4ddc9c38f2199c3e7b164fcc0536",
	} {
		if got := fmt.Sprintf("%x", md4([]byte(text))); got != want {
			t.Errorf("%q has %s, want %s", text, got, want)
		}
	}
}
