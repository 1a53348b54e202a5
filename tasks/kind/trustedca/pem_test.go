package trustedca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
)

// FuzzParse: what parses is one PEM block that parses to itself, and every certificate
// that crypto/x509 reads has the shape.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/home.pem", "testdata/office.pem"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nA: b\n\nMIIBAA==\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if block, rest := pem.Decode(data); block != nil && block.Type == "CERTIFICATE" && len(rest) == 0 {
			if _, err := x509.ParseCertificate(block.Bytes); err == nil && !shaped(block.Bytes) {
				t.Errorf("a certificate is refused:\n%s", data)
			}
		}
		cert, wrong := parse(data)
		if wrong != nil {
			return
		}
		again, wrong := parse(cert.pem)
		if wrong != nil || !bytes.Equal(again.pem, cert.pem) || again.print != cert.print {
			t.Errorf("%q becomes %q: %v", cert.pem, again.pem, wrong)
		}
	})
}
