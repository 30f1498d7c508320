package safearchive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes of the records without their variable parts, and their signatures. Source: APPNOTE 6.3.10, 4.3.
const (
	endSize       = 22
	locatorSize   = 20
	end64Size     = 56
	directorySize = 46
	localSize     = 30

	endSignature       = 0x06054b50
	locatorSignature   = 0x07064b50
	end64Signature     = 0x06064b50
	directorySignature = 0x02014b50
	localSignature     = 0x04034b50
	dataSignature      = 0x08074b50

	// saturated says in a field of 16 or 32 bits that the number is in the zip64 record instead.
	saturated16 = 1<<16 - 1
	saturated32 = 1<<32 - 1
)

// zipFile reads parts of a zip archive. Its errors are faults where the archive is to blame.
type zipFile struct {
	r    io.ReaderAt
	size int64
}

// read returns n bytes at offset.
func (f *zipFile) read(offset, n int64) ([]byte, error) {
	if offset < 0 || n < 0 || offset > f.size-n {
		return nil, malformedZip(io.ErrUnexpectedEOF)
	}
	b := make([]byte, n)
	if read, err := f.r.ReadAt(b, offset); int64(read) < n {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return b, nil
}

// zipEnd is what the end record says.
type zipEnd struct {
	directory int64 // where the directory begins
	length    int64 // its bytes
	entries   int64
}

// end finds the one end record. Readers look for it from the back, and differ in which of several they
// take; a comment that holds the beginning of another one is refused.
func (f *zipFile) end(limits Limits) (zipEnd, error) {
	tail := min(f.size, endSize+saturated16)
	b, err := f.read(f.size-tail, tail)
	if err != nil {
		return zipEnd{}, err
	}
	at := bytes.LastIndex(b, []byte("PK\x05\x06"))
	if at < 0 {
		return zipEnd{}, malformedZip(errors.New("no end record"))
	}
	if len(b)-at < endSize {
		return zipEnd{}, twoReadings("the comment of the archive holds the beginning of another end record")
	}
	record, begins := b[at:], f.size-tail+int64(at)
	le := binary.LittleEndian
	if comment := int(le.Uint16(record[20:])); comment < len(record)-endSize {
		return zipEnd{}, hiddenBytes(begins + endSize + int64(comment))
	} else if comment > len(record)-endSize {
		return zipEnd{}, twoReadings("the comment of the archive is shorter than it says, or holds the beginning of another end record")
	}
	e := zipEnd{directory: int64(le.Uint32(record[16:])), length: int64(le.Uint32(record[12:])), entries: int64(le.Uint16(record[10:]))}
	if le.Uint32(record[4:]) != 0 || int64(le.Uint16(record[8:])) != e.entries {
		return zipEnd{}, malformedZip(errors.New("the archive is a part of several"))
	}
	if e, begins, err = f.end64(e, begins); err != nil {
		return zipEnd{}, err
	}
	if limits.Entries > 0 && e.entries > int64(limits.Entries) {
		return zipEnd{}, tooManyEntries(limits.Entries)
	}
	if e.directory < 0 || e.length < 0 || e.directory > begins || e.directory+e.length != begins {
		return zipEnd{}, twoReadings("the directory does not reach to its end record")
	}
	return e, nil
}

// end64 takes the numbers from the zip64 end record in front of the locator in front of the end record,
// where there is one, and returns where the first of the three begins. Readers differ in when they look
// for it: it has to say the same where both say something.
func (f *zipFile) end64(e zipEnd, begins int64) (zipEnd, int64, error) {
	wanted := e.entries == saturated16 || e.directory == saturated32 || e.length == saturated32
	if begins < locatorSize+end64Size {
		return e, begins, nil
	}
	b, err := f.read(begins-locatorSize-end64Size, locatorSize+end64Size)
	if err != nil {
		return e, 0, err
	}
	le, record, locator := binary.LittleEndian, b[:end64Size], b[end64Size:]
	if le.Uint32(locator) != locatorSignature {
		if wanted {
			return e, 0, malformedZip(errors.New("no zip64 end record"))
		}
		return e, begins, nil
	}
	at := begins - locatorSize - end64Size
	if int64(le.Uint64(locator[8:])) != at || le.Uint32(locator[4:]) != 0 || le.Uint32(locator[16:]) > 1 ||
		le.Uint32(record) != end64Signature || le.Uint64(record[4:]) != end64Size-12 {
		return e, 0, twoReadings("the zip64 end record is not in front of its locator")
	}
	big := zipEnd{entries: int64(le.Uint64(record[32:])), length: int64(le.Uint64(record[40:])), directory: int64(le.Uint64(record[48:]))}
	if le.Uint64(record[16:]) != 0 || int64(le.Uint64(record[24:])) != big.entries ||
		!agree(e.entries, big.entries, saturated16) || !agree(e.length, big.length, saturated32) || !agree(e.directory, big.directory, saturated32) {
		return e, 0, twoReadings("the two end records contradict each other")
	}
	return big, at, nil
}

// agree reports whether a narrow field says the same as the wide one.
func agree(narrow, wide, saturated int64) bool { return narrow == wide || narrow == saturated }

// directory reads all records of the directory. Its memory is bounded by the archive's size and by
// limits.Entries.
func (f *zipFile) directory(end zipEnd, limits Limits) ([]zipMember, error) {
	if end.entries > end.length/directorySize {
		return nil, malformedZip(errors.New("more entries than the directory has room for"))
	}
	b, err := f.read(end.directory, end.length)
	if err != nil {
		return nil, err
	}
	members := make([]zipMember, 0, end.entries)
	for len(b) > 0 {
		if int64(len(members)) == end.entries {
			return nil, twoReadings("the directory holds more than its end record says")
		}
		m, n, err := directoryRecord(b)
		if err != nil {
			return nil, err
		}
		members, b = append(members, m), b[n:]
	}
	if int64(len(members)) != end.entries {
		return nil, twoReadings("the directory holds fewer entries than its end record says")
	}
	return members, nil
}

// directoryRecord reads the record that b begins with, and returns its length.
func directoryRecord(b []byte) (zipMember, int, error) {
	le := binary.LittleEndian
	if len(b) < directorySize || le.Uint32(b) != directorySignature {
		return zipMember{}, 0, malformedZip(errors.New("no directory record where one should be"))
	}
	name, extra, comment := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
	n := directorySize + name + extra + comment
	if len(b) < n {
		return zipMember{}, 0, malformedZip(io.ErrUnexpectedEOF)
	}
	m := zipMember{
		creator: b[5], flags: le.Uint16(b[8:]), method: le.Uint16(b[10:]), crc: le.Uint32(b[16:]),
		packed: int64(le.Uint32(b[20:])), size: int64(le.Uint32(b[24:])),
		attributes: le.Uint32(b[38:]), offset: int64(le.Uint32(b[42:])), name: string(b[directorySize : directorySize+name]),
	}
	if le.Uint16(b[34:]) != 0 {
		return zipMember{}, 0, malformedZip(errors.New("the archive is a part of several"))
	}
	return m, n, m.extra(b[directorySize+name:directorySize+name+extra], &m.size, &m.packed, &m.offset)
}
