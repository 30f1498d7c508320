package safearchive_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// zipped is a member with what its local header, its directory record and its descriptor say. The zero
// values of the second and third mean "the same".
type zipped struct {
	name, content string
	stored        bool
	later         bool // sizes follow the content
	// edits are made to the records before they are written.
	local, central func([]byte)
	localExtra     []byte
	centralExtra   []byte
	packed         []byte // instead of the compressed content
	descriptor     []byte // instead of the right one
	gap            string // written in front of the member
	attributes     uint32
	creator        byte
	flags          uint16
}

// zipOf writes an archive by hand, so that it can be wrong.
func zipOf(members ...zipped) []byte { return zipWith(nil, nil, members...) }

func zipWith(beforeDirectory []byte, end func([]byte) []byte, members ...zipped) []byte {
	var b, dir bytes.Buffer
	for _, m := range members {
		b.WriteString(m.gap)
		offset := b.Len()
		local, content, descriptor := m.records()
		b.Write(local)
		b.Write(content)
		b.Write(descriptor)
		dir.Write(m.record(offset, len(content)))
	}
	b.Write(beforeDirectory)
	le := binary.LittleEndian
	record := make([]byte, 22)
	le.PutUint32(record, 0x06054b50)
	le.PutUint16(record[8:], uint16(len(members)))
	le.PutUint16(record[10:], uint16(len(members)))
	le.PutUint32(record[12:], uint32(dir.Len()))
	le.PutUint32(record[16:], uint32(b.Len()))
	b.Write(dir.Bytes())
	if end != nil {
		record = end(record)
	}
	b.Write(record)
	return b.Bytes()
}

func (m zipped) compressed() []byte {
	if m.packed != nil {
		return m.packed
	}
	if m.stored {
		return []byte(m.content)
	}
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	io.WriteString(w, m.content)
	w.Close()
	return b.Bytes()
}

// common writes flags, method, time, checksum, sizes and name length at b.
func (m zipped) common(b []byte, sizes bool, packed int) {
	le := binary.LittleEndian
	flags := m.flags
	if m.later {
		flags |= 8
	}
	le.PutUint16(b[0:], flags)
	if !m.stored {
		le.PutUint16(b[2:], 8)
	}
	if sizes {
		le.PutUint32(b[8:], crc32.ChecksumIEEE([]byte(m.content)))
		le.PutUint32(b[12:], uint32(packed))
		le.PutUint32(b[16:], uint32(len(m.content)))
	}
	le.PutUint16(b[20:], uint16(len(m.name)))
}

func (m zipped) records() (local, content, descriptor []byte) {
	le := binary.LittleEndian
	content = m.compressed()
	local = make([]byte, 30, 30+len(m.name))
	le.PutUint32(local, 0x04034b50)
	local[4] = 20
	m.common(local[6:], !m.later, len(content))
	le.PutUint16(local[28:], uint16(len(m.localExtra)))
	local = append(append(local, m.name...), m.localExtra...)
	if m.local != nil {
		m.local(local)
	}
	if m.later && m.descriptor == nil {
		descriptor = le.AppendUint32(descriptor, 0x08074b50)
		descriptor = le.AppendUint32(descriptor, crc32.ChecksumIEEE([]byte(m.content)))
		descriptor = le.AppendUint32(descriptor, uint32(len(content)))
		descriptor = le.AppendUint32(descriptor, uint32(len(m.content)))
		return local, content, descriptor
	}
	return local, content, m.descriptor
}

func (m zipped) record(offset, packed int) []byte {
	le := binary.LittleEndian
	b := make([]byte, 46, 46+len(m.name))
	le.PutUint32(b, 0x02014b50)
	b[4], b[5], b[6] = 20, m.creator, 20
	m.common(b[8:], true, packed)
	le.PutUint16(b[30:], uint16(len(m.centralExtra)))
	le.PutUint32(b[38:], m.attributes)
	le.PutUint32(b[42:], uint32(offset))
	b = append(append(b, m.name...), m.centralExtra...)
	if m.central != nil {
		m.central(b)
	}
	return b
}

func put32(at int, v uint32) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
}

func put16(at int, v uint16) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint16(b[at:], v) }
}

func listZip(raw []byte, limits safearchive.Limits) ([]string, error) {
	var seen []string
	err := safearchive.WalkZip(bytes.NewReader(raw), int64(len(raw)), limits, func(e safearchive.Entry, content io.Reader) error {
		b, err := io.ReadAll(content)
		seen = append(seen, fmt.Sprintf("%s=%s", e.Path, b))
		return err
	})
	return seen, err
}

func unicodePath(name, claimed string) []byte {
	b := binary.LittleEndian.AppendUint16(nil, 0x7075)
	b = binary.LittleEndian.AppendUint16(b, uint16(5+len(claimed)))
	b = append(b, 1)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(name)))
	return append(b, claimed...)
}

func zip64Field(values ...uint64) []byte {
	b := binary.LittleEndian.AppendUint16(nil, 1)
	b = binary.LittleEndian.AppendUint16(b, uint16(8*len(values)))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func comment(text string) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[20:], uint16(len(text)))
		return append(b, text...)
	}
}

func TestWalkOfAZip(t *testing.T) {
	t.Parallel()
	a, b := zipped{name: "a.txt", content: "one"}, zipped{name: "d/b.txt", content: "two", stored: true}
	with := func(m zipped, change func(*zipped)) zipped { change(&m); return m }
	crc := crc32.ChecksumIEEE([]byte("one"))
	inner := zipOf(zipped{name: "evil", content: "x"})
	tests := map[string]struct {
		raw  []byte
		want string
	}{
		"deflated and stored members are read":       {zipOf(a, b), ""},
		"a folder has an entry of its own":           {zipOf(zipped{name: "d/", stored: true, attributes: 0x10}, b), ""},
		"a folder may be listed twice":               {zipOf(zipped{name: "d/", stored: true}, zipped{name: "d/", stored: true}), ""},
		"a folder may be deflated":                   {zipOf(zipped{name: "d/"}, b), ""},
		"sizes may follow the content":               {zipOf(with(a, func(m *zipped) { m.later = true }), b), ""},
		"sizes may follow without a signature":       {zipOf(with(a, func(m *zipped) { m.later = true; m.descriptor = descriptor(false, false, crc, 3, a) })), ""},
		"sizes may follow in 64 bits":                {zipOf(with(a, func(m *zipped) { m.later = true; m.descriptor = descriptor(true, true, crc, 3, a) })), ""},
		"a zip64 field may hold the sizes":           {zipOf(zipped{name: "s", content: "xyz", stored: true, local: func(b []byte) { put32(18, 1<<32-1)(b); put32(22, 1<<32-1)(b) }, localExtra: zip64Field(3, 3)}), ""},
		"padding of zeroes in the extra fields":      {zipOf(with(a, func(m *zipped) { m.localExtra = make([]byte, 3) })), ""},
		"a name in UTF-8 that says so":               {zipOf(zipped{name: "é", content: "1", flags: 1 << 11}), ""},
		"a Unicode path that says the same":          {zipOf(with(a, func(m *zipped) { m.centralExtra = unicodePath("a.txt", "a.txt") })), ""},
		"a comment":                                  {zipWith(nil, comment("made by hand"), a), ""},
		"a zip stored inside as the last member":     {zipOf(zipped{name: "i.zip", content: string(inner), stored: true}), ""},
		"nothing at all is not a zip":                {nil, "archive-malformed"},
		"text is not a zip":                          {[]byte(strings.Repeat("hello ", 100)), "archive-malformed"},
		"an archive cut off":                         {zipOf(a, b)[:100], "archive-malformed"},
		"the names differ":                           {zipOf(with(a, func(m *zipped) { m.local = func(b []byte) { b[30] = 'b' } })), "archive-ambiguous"},
		"the names differ in length":                 {zipOf(with(a, func(m *zipped) { m.local = put16(26, 4) })), "archive-ambiguous"},
		"the methods differ":                         {zipOf(with(a, func(m *zipped) { m.local = put16(8, 0) })), "archive-ambiguous"},
		"the flags differ":                           {zipOf(with(a, func(m *zipped) { m.local = put16(6, 1<<11) })), "archive-ambiguous"},
		"the sizes differ":                           {zipOf(with(a, func(m *zipped) { m.local = put32(22, 2) })), "archive-ambiguous"},
		"the packed sizes differ":                    {zipOf(with(a, func(m *zipped) { m.local = put32(18, 2) })), "archive-ambiguous"},
		"the checksums differ":                       {zipOf(with(a, func(m *zipped) { m.local = put32(14, 2) })), "archive-ambiguous"},
		"a local zip64 field with another size":      {zipOf(zipped{name: "s", content: "xyz", stored: true, local: func(b []byte) { put32(18, 1<<32-1)(b); put32(22, 1<<32-1)(b) }, localExtra: zip64Field(3, 2)}), "archive-ambiguous"},
		"two zip64 fields":                           {zipOf(with(a, func(m *zipped) { m.centralExtra = append(zip64Field(3), zip64Field(4)...) })), "archive-ambiguous"},
		"a saturated size without a zip64 field":     {zipOf(with(a, func(m *zipped) { m.central = put32(24, 1<<32-1) })), "archive-ambiguous"},
		"an extra field beyond its end":              {zipOf(with(a, func(m *zipped) { m.centralExtra = []byte{9, 9, 200, 0, 1} })), "archive-ambiguous"},
		"another name in a Unicode path":             {zipOf(with(a, func(m *zipped) { m.centralExtra = unicodePath("a.txt", "b.txt") })), "archive-ambiguous"},
		"another name in a local Unicode path":       {zipOf(with(a, func(m *zipped) { m.localExtra = unicodePath("a.txt", "b.txt") })), "archive-ambiguous"},
		"a lying descriptor":                         {zipOf(with(a, func(m *zipped) { m.later = true; m.descriptor = descriptor(true, false, crc, 4, a) })), "archive-ambiguous"},
		"a missing descriptor":                       {zipOf(with(a, func(m *zipped) { m.later = true; m.descriptor = []byte{} }), b), "archive-trailing-data"},
		"a descriptor that was not announced":        {zipOf(with(a, func(m *zipped) { m.descriptor = descriptor(true, false, crc, 3, a) })), "archive-trailing-data"},
		"a stored member whose size follows":         {zipOf(with(b, func(m *zipped) { m.later = true })), "archive-ambiguous"},
		"the same file twice":                        {zipOf(a, a), "archive-duplicate-entry"},
		"the same file by another spelling":          {zipOf(a, zipped{name: "./a.txt"}), "archive-duplicate-entry"},
		"a file that is also a folder":               {zipOf(zipped{name: "d", content: "x"}, b), "archive-duplicate-entry"},
		"bytes in front":                             {append([]byte("#!/bin/sh\n"), zipOf(a)...), "archive-ambiguous"},
		"bytes in front, offsets adjusted":           {zipOf(with(a, func(m *zipped) { m.gap = "#!/bin/sh\n" })), "archive-trailing-data"},
		"a hidden member in a gap":                   {zipOf(a, with(b, func(m *zipped) { m.gap = string(zipOf(a)[:40]) })), "archive-trailing-data"},
		"bytes in front of the directory":            {zipWith([]byte("hidden"), nil, a), "archive-trailing-data"},
		"bytes behind the end":                       {append(zipOf(a), "more"...), "archive-trailing-data"},
		"another archive behind the end":             {append(zipOf(a), zipOf(b)...), "archive-ambiguous"},
		"another end record in the comment":          {zipWith(nil, comment("PK\x05\x06"+strings.Repeat("\x00", 18)), a), "archive-ambiguous"},
		"the beginning of one in the comment":        {zipWith(nil, comment("PK\x05\x06"), a), "archive-ambiguous"},
		"a comment longer than the file":             {zipWith(nil, func(b []byte) []byte { put16(20, 9)(b); return b }, a), "archive-ambiguous"},
		"fewer entries than the directory":           {zipWith(nil, func(b []byte) []byte { put16(8, 1)(b); put16(10, 1)(b); return b }, a, b), "archive-ambiguous"},
		"more entries than the directory":            {zipWith(nil, func(b []byte) []byte { put16(8, 3)(b); put16(10, 3)(b); return b }, a, b), "archive-malformed"},
		"a directory of another place":               {zipWith(nil, func(b []byte) []byte { put32(16, 0)(b); return b }, a), "archive-ambiguous"},
		"a part of several":                          {zipWith(nil, func(b []byte) []byte { put16(4, 1)(b); return b }, a), "archive-malformed"},
		"overlapping members":                        {zipOf(a, with(b, func(m *zipped) { m.central = put32(42, 0) })), "archive-ambiguous"},
		"a member over the next one":                 {zipOf(with(a, func(m *zipped) { m.central = put32(20, 60); m.local = put32(18, 60) }), b), "archive-ambiguous"},
		"bytes behind the compressed content":        {zipOf(with(a, func(m *zipped) { m.packed = append(a.compressed(), "hidden"...) })), "archive-ambiguous"},
		"content longer than its size":               {zipOf(zipped{name: "a", content: "one", packed: zipped{content: "one more"}.compressed()}), "archive-ambiguous"},
		"content shorter than its size":              {zipOf(zipped{name: "a", content: "one more", packed: zipped{content: "one"}.compressed()}), "archive-malformed"},
		"content that is not deflated":               {zipOf(zipped{name: "a", content: "one", packed: []byte("\xff\xff\xff\xff")}), "archive-malformed"},
		"content with another checksum":              {zipOf(zipped{name: "a", content: "one", packed: zipped{content: "two"}.compressed()}), "archive-malformed"},
		"an absolute path":                           {zipOf(zipped{name: "/etc/passwd"}), "archive-path-escape"},
		"a path upwards":                             {zipOf(zipped{name: "a/../../b"}), "archive-path-escape"},
		"a drive":                                    {zipOf(zipped{name: "C:/x"}), "archive-path-escape"},
		"a backslash upwards":                        {zipOf(zipped{name: `..\x`}), "archive-path-escape"},
		"a backslash":                                {zipOf(zipped{name: `lib\x`}), "archive-ambiguous"},
		"a zero in the name":                         {zipOf(zipped{name: "a.txt\x00.png"}), "archive-path-escape"},
		"a name in another encoding":                 {zipOf(zipped{name: "\x82"}), "archive-ambiguous"},
		"UTF-8 that does not say so":                 {zipOf(zipped{name: "é"}), "archive-ambiguous"},
		"no name":                                    {zipOf(zipped{name: ""}), "archive-ambiguous"},
		"an encrypted member":                        {zipOf(with(a, func(m *zipped) { m.flags = 1 })), "archive-ambiguous"},
		"a compression that few read":                {zipOf(with(a, func(m *zipped) { m.local = put16(8, 12); m.central = put16(10, 12) })), "archive-ambiguous"},
		"a symbolic link":                            {zipOf(zipped{name: "l", content: "/etc", creator: 3, attributes: 0o120777 << 16}), "archive-ambiguous"},
		"a device":                                   {zipOf(zipped{name: "l", creator: 3, attributes: 0o020666 << 16}), "archive-special-file"},
		"a folder by its mode and a file by name":    {zipOf(zipped{name: "l", creator: 3, attributes: 0o040755 << 16}), "archive-ambiguous"},
		"a folder by its attributes, a file by name": {zipOf(zipped{name: "l", attributes: 0x10}), "archive-ambiguous"},
		"a folder with content":                      {zipOf(zipped{name: "d/", content: "x"}), "archive-ambiguous"},
		"a long path":                                {zipOf(zipped{name: strings.Repeat("a", 5000)}), "archive-path-too-long"},
	}
	for title, c := range tests {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			seen, err := listZip(c.raw, safearchive.PackageLimits())
			if code(err) != c.want {
				t.Errorf("refused with %q (%v), want %q; saw %q", code(err), err, c.want, seen)
			}
		})
	}
}

func descriptor(signed, wide bool, crc uint32, size int, m zipped) []byte {
	le := binary.LittleEndian
	var b []byte
	if signed {
		b = le.AppendUint32(b, 0x08074b50)
	}
	b = le.AppendUint32(b, crc)
	if wide {
		return le.AppendUint64(le.AppendUint64(b, uint64(len(m.compressed()))), uint64(size))
	}
	return le.AppendUint32(le.AppendUint32(b, uint32(len(m.compressed()))), uint32(size))
}

func TestAZipHasLimits(t *testing.T) {
	t.Parallel()
	many := make([]zipped, 50)
	for i := range many {
		many[i] = zipped{name: fmt.Sprint(i), content: strings.Repeat("x", 100)}
	}
	raw := zipOf(many...)
	for title, c := range map[string]struct {
		limits safearchive.Limits
		want   string
	}{
		"entries":       {safearchive.Limits{Entries: 49}, "archive-too-many-entries"},
		"unpacked":      {safearchive.Limits{Unpacked: 4999}, "archive-too-large"},
		"packed":        {safearchive.Limits{Packed: 100}, "archive-too-large"},
		"path":          {safearchive.Limits{PathLength: 1}, "archive-path-too-long"},
		"just as large": {safearchive.Limits{Entries: 50, Unpacked: 5000, Packed: int64(len(raw)), PathLength: 2}, ""},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if _, err := listZip(raw, c.limits); code(err) != c.want {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}

// A bomb declares what it unfolds to, and is refused by that; one that declares less is stopped where its
// size says that it ends.
func TestAZipBombIsNotUnfolded(t *testing.T) {
	t.Parallel()
	bomb := zipped{content: strings.Repeat("\x00", 4<<20)}.compressed()
	declared := zipOf(zipped{name: "a", content: "x", packed: bomb, local: put32(22, 3<<30), central: put32(24, 3<<30)})
	if _, err := listZip(declared, safearchive.PackageLimits()); code(err) != "archive-too-large" {
		t.Errorf("declared: err = %v", err)
	}
	seen, err := listZip(zipOf(zipped{name: "a", content: "x", packed: bomb}), safearchive.PackageLimits())
	if code(err) != "archive-ambiguous" || len(seen) != 1 || len(seen[0]) > 10 {
		t.Errorf("lying: saw %d bytes, err = %v", len(seen[0]), err)
	}
}

func TestAFailureBelowAZipIsNoFaultOfTheArchive(t *testing.T) {
	t.Parallel()
	raw := zipOf(zipped{name: "a", content: "one"})
	err := safearchive.WalkZip(brokenReader{}, int64(len(raw)), safearchive.Limits{}, func(safearchive.Entry, io.Reader) error { return nil })
	if !errors.Is(err, errDisk) || fault.KindOf(err) != fault.Internal {
		t.Errorf("err = %v", err)
	}
	stop := errors.New("enough")
	err = safearchive.WalkZip(bytes.NewReader(raw), int64(len(raw)), safearchive.Limits{}, func(safearchive.Entry, io.Reader) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("the error of visit became %v", err)
	}
}

var errDisk = errors.New("disk")

type brokenReader struct{}

func (brokenReader) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func TestWhatIsNotReadIsCheckedAllTheSame(t *testing.T) {
	t.Parallel()
	raw := zipOf(zipped{name: "a", content: "one", packed: zipped{content: "two"}.compressed()})
	err := safearchive.WalkZip(bytes.NewReader(raw), int64(len(raw)), safearchive.Limits{}, func(safearchive.Entry, io.Reader) error { return nil })
	if code(err) != "archive-malformed" {
		t.Errorf("err = %v", err)
	}
}

// The archives of the tools that people pack with are taken.
func TestZipsOfRealToolsAreTaken(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range []string{"META-INF/", "META-INF/MANIFEST.MF", "é.txt"} {
		f, err := w.Create(name)
		if err == nil && !strings.HasSuffix(name, "/") {
			_, err = io.WriteString(f, "content of "+name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"META-INF=", "META-INF/MANIFEST.MF=content of META-INF/MANIFEST.MF", "é.txt=content of é.txt"}
	if seen, err := listZip(b.Bytes(), safearchive.PackageLimits()); err != nil || !slices.Equal(seen, want) {
		t.Errorf("archive/zip: saw %q, %v", seen, err)
	}
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		zipOfPython(t, `z.writestr("d/", ""); z.writestr("a.txt", "one"); z.writestr("é", "two")`, 3)
	})
	t.Run("python, to a pipe, in 64 bits", func(t *testing.T) {
		t.Parallel()
		zipOfPython(t, `h = z.open("a", "w", force_zip64=True); h.write(b"one"); h.close()`, 1)
	})
}

func zipOfPython(t *testing.T, body string, entries int) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	file := filepath.Join(t.TempDir(), "x.zip")
	out, err := exec.Command(python, "-c", `import sys, zipfile
class Pipe:
    def __init__(self, f): self.f = f
    def write(self, b): return self.f.write(b)
    def flush(self): self.f.flush()
raw = open(sys.argv[1], "wb")
z = zipfile.ZipFile(Pipe(raw) if "force" in sys.argv[2] else raw, "w", zipfile.ZIP_DEFLATED)
exec(sys.argv[2]); z.close(); raw.close()`, file, body).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	seen, err := listZip(mustRead(t, file), safearchive.PackageLimits())
	if err != nil || len(seen) != entries {
		t.Errorf("saw %q, %v", seen, err)
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
