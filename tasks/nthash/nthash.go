// Package nthash computes the hash that Samba and Windows keep of a password: MD4 of
// its UTF-16 form ([MS-NLMP] 3.3.1, RFC 1320).
//
// It serves to see whether a password is already set. MD4 is broken and must be used
// for nothing else; the hash is as good as the password to whoever has it, so it must
// not get into a message. See Sum.
package nthash

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf16"
)

// Sum is the hash as smbpasswd(5) writes it: 32 hexadecimal digits in upper case.
func Sum(password string) string {
	var data []byte
	for _, unit := range utf16.Encode([]rune(password)) {
		data = binary.LittleEndian.AppendUint16(data, unit)
	}
	sum := md4(data)
	return fmt.Sprintf("%X", sum[:])
}

// md4 is RFC 1320; the standard library has none.
func md4(data []byte) [16]byte {
	length := uint64(len(data)) * 8
	data = append(data, 0x80)
	for len(data)%64 != 56 {
		data = append(data, 0)
	}
	data = binary.LittleEndian.AppendUint64(data, length)
	s := [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	for ; len(data) > 0; data = data[64:] {
		var x [16]uint32
		for i := range x {
			x[i] = binary.LittleEndian.Uint32(data[4*i:])
		}
		block(&s, &x)
	}
	var out [16]byte
	for i, v := range s {
		binary.LittleEndian.PutUint32(out[4*i:], v)
	}
	return out
}

// block is the three rounds of 16 steps each; a step rotates the four words.
func block(s *[4]uint32, x *[16]uint32) {
	a, b, c, d := s[0], s[1], s[2], s[3]
	order := [3][16]int{
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
		{0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15},
	}
	shift := [3][4]int{{3, 7, 11, 19}, {3, 5, 9, 13}, {3, 9, 11, 15}}
	add := [3]uint32{0, 0x5a827999, 0x6ed9eba1}
	for round := range 3 {
		for i, k := range order[round] {
			var f uint32
			switch round {
			case 0:
				f = b&c | ^b&d
			case 1:
				f = b&c | b&d | c&d
			default:
				f = b ^ c ^ d
			}
			a = bits.RotateLeft32(a+f+x[k]+add[round], shift[round][i%4])
			a, b, c, d = d, a, b, c
		}
	}
	s[0], s[1], s[2], s[3] = s[0]+a, s[1]+b, s[2]+c, s[3]+d
}
