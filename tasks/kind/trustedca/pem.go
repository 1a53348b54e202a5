package trustedca

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"strings"
)

// fault is what is wrong with the text of a certificate.
type fault struct{ summary, hint string }

func (f *fault) Error() string {
	if f.hint == "" {
		return f.summary
	}
	return f.summary + " (" + f.hint + ")"
}

// certificate is one, as we write it.
type certificate struct {
	// pem is the one block, without the text that tools print around it.
	pem []byte
	// print is its fingerprint, as `openssl x509 -fingerprint -sha256` has it but in lower
	// case and without colons.
	print string
}

// parse reads the one certificate of a text. Whether its signature holds, and until when,
// is for those who use it: a check must not differ by the day it is made on.
func parse(text []byte) (certificate, *fault) {
	const one = "give one certificate, the text from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
	var found *pem.Block
	for rest := text; ; {
		block, after := pem.Decode(rest)
		if block == nil {
			if bytes.Contains(rest, []byte("-----BEGIN ")) {
				return certificate{}, &fault{"is damaged: what begins with -----BEGIN is no PEM to its end", "were lines lost, or line breaks? JSON writes each as \\n"}
			}
			break
		}
		rest = after
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return certificate{}, &fault{"holds a private key, which must not leave its owner", "give the certificate alone"}
		case block.Type != "CERTIFICATE":
			return certificate{}, &fault{fmt.Sprintf("holds a %s", block.Type), one}
		case found != nil:
			// update-ca-certificates skips a file with two where OpenSSL looks them up by hash.
			return certificate{}, &fault{"holds more than one certificate", "give each its own name"}
		}
		found = block
	}
	if found == nil {
		return certificate{}, &fault{"is no certificate in PEM", one}
	}
	if !shaped(found.Bytes) {
		return certificate{}, &fault{"is no X.509 certificate, though it is PEM", "look at it with openssl x509 -noout -text"}
	}
	found.Headers = nil
	return certificate{pem.EncodeToMemory(found), printOf(found.Bytes)}, nil
}

func printOf(der []byte) string { return fmt.Sprintf("sha256 %x", sha256.Sum256(der)) }

// The tags of what a certificate is made of (RFC 5280, section 4.1; X.690, section 8.1).
const (
	tagSequence  = 0x30
	tagBitString = 0x03
)

// shaped tells whether data is a sequence of two sequences and a bit string, and nothing
// after it, as every certificate is. Cut off and mistaken ones are not.
func shaped(data []byte) bool {
	inside, rest, ok := element(data, tagSequence)
	if !ok || len(rest) > 0 {
		return false
	}
	for _, tag := range []byte{tagSequence, tagSequence, tagBitString} {
		if _, inside, ok = element(inside, tag); !ok {
			return false
		}
	}
	return len(inside) == 0
}

// element takes one element with the given tag off the front of data.
func element(data []byte, tag byte) (inside, rest []byte, ok bool) {
	if len(data) < 2 || data[0] != tag {
		return nil, nil, false
	}
	length, data := int(data[1]), data[2:]
	if length >= 0x80 { // the long form: that many bytes of length
		n := length & 0x7f
		if n == 0 || n > 3 || len(data) < n {
			return nil, nil, false
		}
		length = 0
		for _, b := range data[:n] {
			length = length<<8 | int(b)
		}
		data = data[n:]
	}
	if length > len(data) {
		return nil, nil, false
	}
	return data[:length], data[length:], true
}
