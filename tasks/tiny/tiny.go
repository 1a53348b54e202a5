// Package tiny makes the smallest program that shows that a container runs: a static ELF
// executable that writes one line and exits, and the tar that an image is imported from.
//
// The program is machine code for two system calls, put together here, so that nothing
// has to be compiled, shipped or downloaded. Start reading at Program.
package tiny

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// base is where the file is mapped; the header is mapped with it.
const (
	base       = 0x400000
	headerSize = 64 + 56
)

// Program is an executable for Linux that prints text and exits with status 0. The
// architecture is Go's name of it: amd64 or arm64.
func Program(arch, text string) ([]byte, error) {
	var machine uint16
	var code []byte
	switch arch {
	case "amd64":
		machine, code = 62, amd64(len(text))
	case "arm64":
		machine, code = 183, arm64(len(text))
	default:
		return nil, fmt.Errorf("make a program: no machine code for %s is known", arch)
	}
	size := uint64(headerSize + len(code) + len(text))
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // 64 bits, little-endian, System V
	le := binary.LittleEndian
	head := b.Bytes()
	head = le.AppendUint16(head, 2) // an executable
	head = le.AppendUint16(head, machine)
	head = le.AppendUint32(head, 1)
	head = le.AppendUint64(head, base+headerSize) // the entry
	head = le.AppendUint64(head, 64)              // the program headers
	head = le.AppendUint64(head, 0)
	head = le.AppendUint32(head, 0)
	for _, v := range []uint16{64, 56, 1, 64, 0, 0} {
		head = le.AppendUint16(head, v)
	}
	head = le.AppendUint32(head, 1) // to be loaded
	head = le.AppendUint32(head, 5) // readable and executable
	for _, v := range []uint64{0, base, base, size, size, 0x10000} {
		head = le.AppendUint64(head, v)
	}
	return append(append(head, code...), text...), nil
}

// amd64 is write(1, text, n) and exit(0); the text follows the code.
func amd64(n int) []byte {
	le := binary.LittleEndian
	code := []byte{0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35} // mov eax, 1; mov edi, 1; lea rsi, [rip+…]
	code = le.AppendUint32(code, 16)                                     // what is left of the code
	code = le.AppendUint32(append(code, 0xba), uint32(n))                // mov edx, n
	code = append(code, 0x0f, 0x05)                                      // syscall
	return append(code, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05)       // mov eax, 60; xor edi, edi; syscall
}

// arm64 is the same.
func arm64(n int) []byte {
	var code []byte
	for _, word := range []uint32{
		0xd2800020,                       // mov x0, #1
		0x10000001 | 7<<5,                // adr x1, seven instructions on
		0xd2800002 | uint32(n&0xffff)<<5, // mov x2, #n
		0xd2800808,                       // mov x8, #64
		0xd4000001,                       // svc #0
		0xd2800000,                       // mov x0, #0
		0xd2800ba8,                       // mov x8, #93
		0xd4000001,                       // svc #0
	} {
		code = binary.LittleEndian.AppendUint32(code, word)
	}
	return code
}

// File is one file of an image.
type File struct {
	// Name has no slash at its beginning.
	Name string
	Data []byte
}

// Tar is an archive of executable files that belong to root (POSIX.1-1988, ustar).
func Tar(files ...File) []byte {
	var b bytes.Buffer
	for _, f := range files {
		head := make([]byte, 512)
		copy(head, f.Name)
		copy(head[100:], "0000755\x000000000\x000000000\x00"+fmt.Sprintf("%011o\x00%011o\x00", len(f.Data), 0)+"        0")
		copy(head[257:], "ustar\x0000")
		sum := 0
		for _, c := range head {
			sum += int(c)
		}
		copy(head[148:], fmt.Sprintf("%06o\x00 ", sum))
		b.Write(head)
		b.Write(f.Data)
		b.Write(make([]byte, (512-len(f.Data)%512)%512))
	}
	b.Write(make([]byte, 1024))
	return b.Bytes()
}
