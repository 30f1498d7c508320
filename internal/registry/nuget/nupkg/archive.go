package nupkg

import (
	"cmp"
	"crypto"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"

	"github.com/hullmark/hullmark/internal/fault"
)

// What follows works on the bytes of a package, because its signature is over them: of the zip archive as it
// would be without the entry of the signature. The archive has been walked before, so that its entries lie
// side by side and both of its descriptions agree.
// Source: NuGet.Client, SignedPackageArchiveUtility.cs; APPNOTE.TXT 6.3, 4.3.

const (
	endSize       = 22 // of the end record without comment
	directorySize = 46 // of a directory record without its name and fields
	localSize     = 30
	endMark       = 0x06054b50
	directoryMark = 0x02014b50
	localMark     = 0x04034b50
	maxDirectory  = 64 << 20 // bytes
	// names that a record declares are at these places, and the offset of its entry
	nameAt, extraAt, commentAt, offsetAt = 28, 30, 32, 42
)

// Archive is the layout of a package.
type Archive struct {
	r       io.ReaderAt
	entries []archiveEntry // in the order of the directory
	start   int64          // of the directory
	end     []byte         // the end record
	signed  int            // index of the signature's entry, or -1
}

type archiveEntry struct {
	record []byte // in the directory
	offset int64
	size   int64 // bytes up to the next entry
}

// ReadArchive reads the layout of a package of size bytes that has been walked before. It fails with code signature-invalid.
func ReadArchive(r io.ReaderAt, size int64) (*Archive, error) {
	a := &Archive{r: r, end: make([]byte, endSize), signed: -1}
	if _, err := r.ReadAt(a.end, size-endSize); err != nil || binary.LittleEndian.Uint32(a.end) != endMark {
		return nil, signatureInvalid("a package that is signed must end with its directory and nothing else; pack it again").Because(err)
	}
	length := int64(binary.LittleEndian.Uint32(a.end[12:]))
	a.start = int64(binary.LittleEndian.Uint32(a.end[16:]))
	if length > maxDirectory || a.start+length != size-endSize {
		return nil, signatureInvalid("a package that is signed must be a plain zip archive of less than 4 GiB; pack it again")
	}
	directory := make([]byte, length)
	if _, err := r.ReadAt(directory, a.start); err != nil {
		return nil, err
	}
	for len(directory) > 0 {
		record, ok := nextRecord(directory)
		if !ok {
			return nil, signatureInvalid("the package's directory is damaged; pack it again")
		}
		if string(record[directorySize:directorySize+int(binary.LittleEndian.Uint16(record[nameAt:]))]) == signatureFile {
			a.signed = len(a.entries)
		}
		a.entries = append(a.entries, archiveEntry{record: record, offset: int64(binary.LittleEndian.Uint32(record[offsetAt:]))})
		directory = directory[len(record):]
	}
	return a, a.measure()
}

// nextRecord cuts the first record off a directory.
func nextRecord(directory []byte) ([]byte, bool) {
	if len(directory) < directorySize || binary.LittleEndian.Uint32(directory) != directoryMark {
		return nil, false
	}
	n := directorySize
	for _, at := range []int{nameAt, extraAt, commentAt} {
		n += int(binary.LittleEndian.Uint16(directory[at:]))
	}
	if n > len(directory) {
		return nil, false
	}
	return directory[:n], true
}

// measure finds out how many bytes each entry has.
func (a *Archive) measure() error {
	order := a.byOffset()
	for i, at := range order {
		next := a.start
		if i+1 < len(order) {
			next = a.entries[order[i+1]].offset
		}
		e := &a.entries[at]
		if e.size = next - e.offset; e.size < localSize {
			return signatureInvalid("the package's entries overlap; pack it again")
		}
	}
	if len(order) == 0 || a.entries[order[0]].offset != 0 {
		return signatureInvalid("the package does not begin with an entry; pack it again")
	}
	return nil
}

// byOffset are the indices of the entries in the order of their bytes.
func (a *Archive) byOffset() []int {
	order := make([]int, len(a.entries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(a.entries[i].offset, a.entries[j].offset) })
	return order
}

// Hash returns the hash of the archive without its signature.
func (a *Archive) Hash(h crypto.Hash) ([]byte, error) {
	sum := h.New()
	err := a.Write(sum, nil)
	return sum.Sum(nil), err
}

// Write writes the archive with a signature in place of the one that it has; nil writes it without one.
func (a *Archive) Write(w io.Writer, signature []byte) error {
	var directory []byte
	var at int64
	shifted := make([]int64, len(a.entries))
	for _, i := range a.byOffset() {
		if i == a.signed {
			continue
		}
		e := a.entries[i]
		if _, err := io.Copy(w, io.NewSectionReader(a.r, e.offset, e.size)); err != nil {
			return err
		}
		shifted[i] = at
		at += e.size
	}
	count := 0
	for i, e := range a.entries {
		if i == a.signed {
			continue
		}
		record := slices.Clone(e.record)
		binary.LittleEndian.PutUint32(record[offsetAt:], uint32(shifted[i]))
		directory = append(directory, record...)
		count++
	}
	if signature != nil {
		local, record := signatureEntry(signature, at)
		if _, err := w.Write(append(local, signature...)); err != nil {
			return err
		}
		at += int64(len(local) + len(signature))
		directory = append(directory, record...)
		count++
	}
	end := slices.Clone(a.end)
	binary.LittleEndian.PutUint16(end[8:], uint16(count))
	binary.LittleEndian.PutUint16(end[10:], uint16(count))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(directory)))
	binary.LittleEndian.PutUint32(end[16:], uint32(at))
	_, err := w.Write(append(directory, end...))
	return err
}

// dosDate is 1980-01-01, the first day that the format has: the signature says itself when it was made.
const dosDate = 1<<5 | 1

// signatureEntry returns the header and the directory record of a signature: stored, as clients insist.
func signatureEntry(signature []byte, offset int64) (local, record []byte) {
	crc, size, name := crc32.ChecksumIEEE(signature), uint32(len(signature)), uint16(len(signatureFile))
	le := binary.LittleEndian
	common := func(b []byte) []byte { // what both have, from "version needed" on
		b = le.AppendUint16(b, 20)
		b = le.AppendUint16(b, 0) // flags
		b = le.AppendUint16(b, 0) // stored
		b = le.AppendUint16(b, 0) // time
		b = le.AppendUint16(b, dosDate)
		b = le.AppendUint32(b, crc)
		b = le.AppendUint32(b, size)
		b = le.AppendUint32(b, size)
		b = le.AppendUint16(b, name)
		return le.AppendUint16(b, 0) // extra fields
	}
	local = append(common(le.AppendUint32(nil, localMark)), signatureFile...)
	record = common(le.AppendUint16(le.AppendUint32(nil, directoryMark), 20))
	record = append(record, make([]byte, 10)...) // comment, disk, attributes
	record = append(le.AppendUint32(record, uint32(offset)), signatureFile...)
	return local, record
}

func signatureInvalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Integrity, "signature-invalid", format, args...)
}
