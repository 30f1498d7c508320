package lab

import (
	"encoding/binary"
	"runtime"
)

// Program returns a static executable of this architecture whose first act is to write one "!" to
// standard output, before any library or runtime could be stopped in its place; then it ends well.
// The self-test runs it: that nothing was written is proof that it was stopped in time.
func Program() []byte { return Executable(tinyAMD64(), tinyARM64()) }

// Executable returns a static executable that is nothing but the machine code of this architecture.
func Executable(amd64, arm64 []byte) []byte {
	code, machine := amd64, uint16(62)
	if runtime.GOARCH == "arm64" {
		code, machine = arm64, 183
	}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	le := binary.LittleEndian
	out := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	out = le.AppendUint16(out, 2) // an executable
	out = le.AppendUint16(out, machine)
	out = le.AppendUint32(out, 1)
	out = le.AppendUint64(out, base+headers) // entry
	out = le.AppendUint64(out, 64)           // program headers
	out = le.AppendUint64(out, 0)            // no section headers
	out = le.AppendUint32(out, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		out = le.AppendUint16(out, v)
	}
	out = le.AppendUint32(out, 1) // load
	out = le.AppendUint32(out, 5) // readable and executable
	for _, v := range []uint64{0, base, base, size, size, 0x1000} {
		out = le.AppendUint64(out, v)
	}
	return append(out, code...)
}

func tinyAMD64() []byte {
	return []byte{
		0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
		0xbf, 1, 0, 0, 0, // mov edi, 1
		0x48, 0x8d, 0x35, 0x10, 0, 0, 0, // lea rsi, [rip+16]
		0xba, 1, 0, 0, 0, // mov edx, 1
		0x0f, 0x05, // syscall
		0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
		0x31, 0xff, // xor edi, edi
		0x0f, 0x05, // syscall
		'!',
	}
}

func tinyARM64() []byte {
	return append(ARM64(
		0xd2800020, // mov x0, 1
		0x100000e1, // adr x1, 28 bytes on
		0xd2800022, // mov x2, 1
		0xd2800808, // mov x8, 64 (write)
		0xd4000001, // svc 0
		0xd2800000, // mov x0, 0
		0xd2800ba8, // mov x8, 93 (exit)
		0xd4000001, // svc 0
	), '!')
}

// ARM64 puts instructions one after the other.
func ARM64(instructions ...uint32) []byte {
	var out []byte
	for _, one := range instructions {
		out = binary.LittleEndian.AppendUint32(out, one)
	}
	return out
}
