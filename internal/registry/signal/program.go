package signal

import (
	"bytes"
	"encoding/binary"
)

// program returns what kind of program a file is that begins like this, or "".
func program(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		return "elf"
	case bytes.HasPrefix(b, []byte("\x00asm")):
		return "wasm"
	case isPE(b):
		return "pe"
	case isMachO(b):
		return "mach-o"
	}
	return ""
}

// isPE: the old header says where the new one is. Source: PE format, "MS-DOS Stub".
func isPE(b []byte) bool {
	if len(b) < 64 || !bytes.HasPrefix(b, []byte("MZ")) {
		return false
	}
	at := uint64(binary.LittleEndian.Uint32(b[60:]))
	return at < uint64(len(b)) && bytes.HasPrefix(b[at:], []byte("PE\x00\x00"))
}

// newestFat is more architectures than a universal binary has; Java class files, which begin with the
// same four bytes, have a version number of 45 or more in that place.
const newestFat = 45

// isMachO knows both byte orders and universal binaries. Source: mach-o/loader.h, mach-o/fat.h.
func isMachO(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	switch binary.BigEndian.Uint32(b) {
	case 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe:
		return true
	case 0xcafebabe, 0xcafebabf:
		return binary.BigEndian.Uint32(b[4:]) < newestFat
	}
	return false
}
