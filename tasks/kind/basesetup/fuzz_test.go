package basesetup

import (
	"os"
	"strings"
	"testing"

	"phoenix/tasks"
)

// FuzzSettingIn reads what apt-config prints of files that a guest has.
func FuzzSettingIn(f *testing.F) {
	data, err := os.ReadFile("../../sim/testdata/apt-config.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Add("APT::Periodic::Enable \"\n\";\n :: \"\";")
	f.Fuzz(func(t *testing.T, text string) {
		for _, key := range []string{"APT::Periodic::Enable", "Unattended-Upgrade::Origins-Pattern"} {
			for _, v := range (&setting{key: key}).in(tasks.Lines(text)) {
				if v == "" || strings.Contains(v, "\n") || !strings.Contains(strings.ToLower(text), strings.ToLower(key)) {
					t.Errorf("%s is %q in %q", key, v, text)
				}
			}
		}
	})
}
