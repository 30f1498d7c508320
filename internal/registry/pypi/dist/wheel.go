package dist

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

const (
	maxRecord = 32 << 20 // bytes of RECORD
	MaxSmall  = 1 << 20  // bytes of other files that are read
	maxHooks  = 200      // lines that run at start
)

// Inside is what one reading of a file found.
type Inside struct {
	Inventory *evidence.Inventory
	Metadata  *coreMetadata
}

// Mismatch is the refusal, with code metadata-mismatch, of a file that contradicts what is said of it.
func Mismatch(format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, "metadata-mismatch", format, args...)
	f.Text = "The metadata in the file does not match: " + f.Text + "; build it again and upload what was built, unchanged"
	return f
}

// ReadWheel reads a wheel of size bytes.
func ReadWheel(r io.ReaderAt, size int64, name, version string, limits safearchive.Limits) (*Inside, error) {
	w := &wheelReader{name: name, version: version}
	inv, err := registry.IndexZip(r, size, limits, w.see)
	if err != nil {
		return nil, err
	}
	m, err := w.finish(inv)
	if err != nil {
		return nil, err
	}
	inv.Hooks = w.hooks
	inv.Signals.Dependencies = m.dependencies()
	return &Inside{Inventory: inv, Metadata: m}, nil
}

// wheelReader looks at the files of a wheel that say something about it.
// Source: Binary distribution format, "File contents".
type wheelReader struct {
	name, version string
	info          string // the .dist-info folder
	metadata      []byte
	record        []byte
	wheel         []byte
	hooks         []evidence.InstallHook
}

func (w *wheelReader) see(e safearchive.Entry, content io.Reader) error {
	folder, rest, below := strings.Cut(e.Path, "/")
	if below && strings.HasSuffix(folder, ".dist-info") {
		if err := w.seeFolder(folder); err != nil {
			return err
		}
	}
	if e.Kind != safearchive.File {
		return nil
	}
	if below && folder == w.info {
		return w.seeInfo(rest, content)
	}
	return w.seeStart(e.Path, content)
}

func (w *wheelReader) seeFolder(folder string) error {
	if w.info == folder {
		return nil
	}
	n, v, _ := strings.Cut(strings.TrimSuffix(folder, ".dist-info"), "-")
	if w.info != "" || Normal(n) != w.name || !SameVersion(v, w.version) {
		return fault.New(fault.Invalid, "wheel-layout", "the wheel has to have one .dist-info folder, that of %s %s; it has %q", w.name, w.version, fault.Clip(folder))
	}
	w.info = folder
	return nil
}

func (w *wheelReader) seeInfo(rest string, content io.Reader) (err error) {
	switch rest {
	case "METADATA":
		w.metadata, err = readAll(content, maxMetadata, rest)
	case "RECORD":
		w.record, err = readAll(content, maxRecord, rest)
	case "WHEEL":
		w.wheel, err = readAll(content, MaxSmall, rest)
	case "entry_points.txt":
		var raw []byte
		if raw, err = readAll(content, MaxSmall, rest); err == nil {
			err = checkEntryPoints(raw)
		}
	default:
		for _, taken := range []string{"METADATA", "RECORD", "WHEEL"} {
			if strings.EqualFold(rest, taken) {
				return fault.New(fault.Invalid, "wheel-layout", "the wheel has a file %q, which some systems take for %s; remove it", fault.Clip(rest), taken)
			}
		}
	}
	return err
}

// checkEntryPoints refuses a script that would be written outside of the folder for scripts.
func checkEntryPoints(raw []byte) error {
	for line := range strings.Lines(string(raw)) {
		name, _, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); ok && !strings.HasPrefix(name, "#") && (strings.ContainsAny(name, `/\`) || name == ".." || name == ".") {
			return fault.New(fault.Invalid, "wheel-layout", "the entry point %q would be written outside of the folder for scripts", fault.Clip(name))
		}
	}
	return nil
}

// seeStart notes what Python runs whenever it starts, without anybody importing it: lines of .pth files that
// begin with import, and the two modules that module site imports. Source: Python docs, "site".
func (w *wheelReader) seeStart(p string, content io.Reader) error {
	below, ok := sitePath(p)
	if !ok || strings.Contains(strings.TrimSuffix(below, "/__init__.py"), "/") {
		return nil
	}
	switch strings.TrimSuffix(below, "/__init__.py") {
	case "sitecustomize.py", "usercustomize.py", "sitecustomize", "usercustomize":
		w.hook(evidence.InstallHook{Name: "site", Command: "import " + strings.TrimSuffix(strings.TrimSuffix(below, "/__init__.py"), ".py"), Files: []string{p}})
		return nil
	}
	if path.Ext(below) != ".pth" {
		return nil
	}
	raw, err := readAll(content, MaxSmall, p)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, MaxSmall+1)
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "import\t") {
			w.hook(evidence.InstallHook{Name: "pth", Command: line[:min(len(line), 2000)], Files: []string{p}})
		}
	}
	return nil
}

func (w *wheelReader) hook(h evidence.InstallHook) {
	if len(w.hooks) < maxHooks {
		w.hooks = append(w.hooks, h)
	}
}

// sitePath returns where in site-packages a member is installed.
func sitePath(p string) (string, bool) {
	folder, rest, below := strings.Cut(p, "/")
	if !below || !strings.HasSuffix(folder, ".data") {
		return p, true
	}
	scheme, rest, _ := strings.Cut(rest, "/")
	if scheme == "purelib" || scheme == "platlib" {
		return rest, true
	}
	_, rest, ok := strings.Cut(rest, "site-packages/")
	return rest, ok && scheme == "data"
}

func (w *wheelReader) finish(inv *evidence.Inventory) (*coreMetadata, error) {
	for file, content := range map[string][]byte{"METADATA": w.metadata, "RECORD": w.record, "WHEEL": w.wheel} {
		if content == nil {
			return nil, fault.New(fault.Invalid, "wheel-layout", "the wheel has no %s in its .dist-info folder; build it again", file)
		}
	}
	if version := headerOf(w.wheel, "wheel-version"); !strings.HasPrefix(version, "1.") {
		return nil, fault.New(fault.Invalid, "wheel-layout", "the wheel is of version %q, and clients read 1.x", fault.Clip(version))
	}
	if err := checkRecord(w.record, w.info, inv.Files); err != nil {
		return nil, err
	}
	m, err := ParseMetadata(w.metadata)
	if err != nil {
		return nil, err
	}
	return m, m.check(w.name, w.version)
}

func headerOf(raw []byte, key string) string {
	for line := range strings.Lines(string(raw)) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(strings.TrimSpace(k), key) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// checkRecord compares RECORD with what the wheel holds: each file with its SHA-256 and size, and no other.
// Installers differ in whether they look. Source: Binary distribution format, "The .dist-info directory".
func checkRecord(raw []byte, info string, files []evidence.File) error {
	held := make(map[string]evidence.File, len(files))
	for _, f := range files {
		held[f.Path] = f
	}
	free := map[string]bool{info + "/RECORD": true, info + "/RECORD.jws": true, info + "/RECORD.p7s": true}
	rows := csv.NewReader(bytes.NewReader(raw))
	rows.FieldsPerRecord, rows.LazyQuotes, rows.ReuseRecord = -1, true, true
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil || len(row) < 3 {
			return recordMismatch("it is not a table of path, hash and size")
		}
		p := strings.TrimPrefix(row[0], "./")
		f, ok := held[p]
		if !ok {
			if free[p] || strings.HasSuffix(p, "/") {
				continue
			}
			return recordMismatch("it names %q, which the wheel does not hold, or names it twice", fault.Clip(p))
		}
		delete(held, p)
		if free[p] {
			continue
		}
		if row[1] != recordHash(f.SHA256) || row[2] != "" && row[2] != strconv.FormatInt(f.Size, 10) {
			return recordMismatch("%q is another file than it says (sha256 is what is compared)", fault.Clip(p))
		}
	}
	for p := range held {
		if !free[p] {
			return recordMismatch("it leaves out %q, which the wheel holds", fault.Clip(p))
		}
	}
	return nil
}

func recordHash(d digest.Digest) string {
	sum, _ := hex.DecodeString(d.Hex())
	return "sha256=" + base64.RawURLEncoding.EncodeToString(sum)
}

func recordMismatch(format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, "record-mismatch", format, args...)
	f.Text = "The RECORD of the wheel does not match: " + f.Text + "; build it again and upload what was built, unchanged"
	return f
}
