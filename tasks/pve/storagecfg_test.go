package pve

import (
	"slices"
	"strings"
	"testing"
)

func TestParseStorageCfg_readsEveryForm(t *testing.T) {
	cfg, err := ParseStorageCfg([]byte("# by hand\n\ndir: local\n\tdisable\n\tpath /var/lib/vz\n\tcontent  iso,vztmpl;backup\n\n" +
		"nfs: nas\n        server 10.0.0.2\n        export /x y\n# inside\n        shared\n\ncifs: media\n\tpath /mnt/media\n\tcontent-dirs vztmpl=my/tmpl,iso=i\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.IDs(); !slices.Equal(got, []string{"local", "nas", "media"}) {
		t.Fatalf("IDs %v", got)
	}
	local, _ := cfg.Find("local")
	nas, _ := cfg.Find("nas")
	media, _ := cfg.Find("media")
	export, _ := nas.Get("export")
	for name, ok := range map[string]bool{
		"a bare key is on":                    local.Bool("disable") && nas.Bool("shared"),
		"a missing switch is off":             !local.Bool("shared"),
		"lists are sorted sets":               slices.Equal(local.Set("content"), []string{"backup", "iso", "vztmpl"}),
		"values keep their blanks":            export == "/x y",
		"content defaults to the type's":      slices.Equal(nas.Content(), []string{"images"}),
		"a network storage has its own path":  nas.Path() == "/mnt/pve/nas",
		"content-dirs override the default":   media.ContentDir("vztmpl") == "/mnt/media/my/tmpl",
		"others keep the default directory":   local.ContentDir("vztmpl") == "/var/lib/vz/template/cache",
		"an explicit local is not implicit":   !local.Implicit,
		"an unknown storage is not found":     func() bool { _, ok := cfg.Find("x"); return !ok }(),
		"what is listed is allowed":           local.Allows("iso") && !local.Allows("rootdir"),
		"a storage without files has no path": Storage{Type: "lvmthin", ID: "x"}.ContentDir("iso") == "",
	} {
		if !ok {
			t.Errorf("not so: %s", name)
		}
	}
}

func TestParseStorageCfg_localIsAlwaysThere(t *testing.T) {
	for name, text := range map[string]string{
		"an empty file":     "",
		"other storages":    "lvmthin: x1\n\tvgname pve\n",
		"local elsewhere":   "dir: local\n\tpath /srv\n",
		"local of any type": "nfs: local\n\tserver a\n",
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := ParseStorageCfg([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			s, ok := cfg.Find("local")
			if !ok || !s.Implicit || s.Path() != "/var/lib/vz" || !s.Allows("rootdir") {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestParseStorageCfg_namesTheLineOfAFault(t *testing.T) {
	for text, want := range map[string]string{
		"dir: a1\n\tpath /x\nnonsense\n": "line 3",
		"\tpath /x\n":                    "line 1",
		"dir: a1\n\n\tpath /x\n":         "line 3",
		"dir: a b\n":                     "line 1",
		": a1\n":                         "line 1",
	} {
		if _, err := ParseStorageCfg([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParseStorageCfg(f *testing.F) {
	f.Add([]byte("dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\nlvmthin: x1\n\tthinpool data\n"))
	f.Add([]byte("\r\n#\ndir:\t a1 \n shared\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := ParseStorageCfg(data)
		if err != nil {
			return
		}
		if _, ok := cfg.Find("local"); !ok {
			t.Fatal("local is missing")
		}
		for _, s := range cfg {
			if s.ID == "" || s.Type == "" || strings.ContainsAny(s.ID+s.Type, "\n") {
				t.Fatalf("section %+v", s)
			}
			for _, p := range s.props {
				if p.key == "" || strings.ContainsAny(p.key, " \t\n") || strings.Contains(p.value, "\n") {
					t.Fatalf("property %+v", p)
				}
			}
		}
	})
}
