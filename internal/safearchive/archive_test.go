package safearchive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

func file(name, content string) tar.Header {
	// The content travels in Linkname, which a regular file does not have.
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content)), Linkname: content}
}

func folder(name string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}
}

func symlink(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
}

func hardlink(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
}

func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t testing.TB, raw []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, append(opts, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// list walks raw and returns "path=content" for each entry.
func list(raw io.Reader, limits safearchive.Limits) ([]string, error) {
	stream, free, err := safearchive.Decompress(raw, limits)
	if err != nil {
		return nil, err
	}
	defer free()
	var seen []string
	err = safearchive.Walk(stream, limits, func(e safearchive.Entry, content io.Reader) error {
		b, err := io.ReadAll(content)
		seen = append(seen, fmt.Sprintf("%s=%s", e.Path, b))
		return err
	})
	return seen, err
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

func TestWalkOfAPackage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		headers []tar.Header
		want    string
	}{
		"an ordinary package is accepted":         {[]tar.Header{folder("package/"), file("package/index.js", "1"), file("./package/a/b.js", "2")}, ""},
		"a name with two dots in it is accepted":  {[]tar.Header{file("package/a..b", "1"), file("package/..c", "")}, ""},
		"a folder may be listed twice":            {[]tar.Header{folder("a/"), folder("a")}, ""},
		"a link inside is accepted":               {[]tar.Header{symlink("package/bin/x", "../lib/x"), hardlink("package/y", "package/lib/x")}, ""},
		"an absolute path is refused":             {[]tar.Header{file("/etc/passwd", "")}, "archive-path-escape"},
		"a path up is refused":                    {[]tar.Header{file("../x", "")}, "archive-path-escape"},
		"a path up from inside is refused":        {[]tar.Header{file("package/../../x", "")}, "archive-path-escape"},
		"a path that returns inside is refused":   {[]tar.Header{file("package/../x", "")}, "archive-path-escape"},
		"backslashes up are refused":              {[]tar.Header{file(`package\..\..\x`, "")}, "archive-path-escape"},
		"a drive letter is refused":               {[]tar.Header{file(`C:x`, "")}, "archive-path-escape"},
		"a path through a link is refused":        {[]tar.Header{symlink("a", "."), file("a/x", "")}, "archive-path-escape"},
		"a device is refused":                     {[]tar.Header{{Name: "null", Typeflag: tar.TypeChar}}, "archive-special-file"},
		"a pipe is refused":                       {[]tar.Header{{Name: "pipe", Typeflag: tar.TypeFifo}}, "archive-special-file"},
		"a link out is refused":                   {[]tar.Header{symlink("package/x", "../../x")}, "archive-link-escape"},
		"an absolute link is refused":             {[]tar.Header{symlink("x", "/etc/passwd")}, "archive-link-escape"},
		"a link with a drive is refused":          {[]tar.Header{symlink("x", `c:\x`)}, "archive-link-escape"},
		"a link down and up is refused":           {[]tar.Header{symlink("a/b", "c/../x")}, "archive-link-escape"},
		"a link to the folder above is refused":   {[]tar.Header{symlink("a", "..")}, "archive-link-escape"},
		"a hard link out is refused":              {[]tar.Header{hardlink("x", "../x")}, "archive-link-escape"},
		"a hard link through a link is refused":   {[]tar.Header{symlink("a", "b"), hardlink("x", "a/x")}, "archive-link-escape"},
		"the same file twice is refused":          {[]tar.Header{file("package/package.json", "1"), file("package//package.json", "2")}, "archive-duplicate-entry"},
		"a file in the place of a link, likewise": {[]tar.Header{symlink("a", "b"), file("./a", "2")}, "archive-duplicate-entry"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := list(bytes.NewReader(archive(t, tt.headers...)), safearchive.PackageLimits())
			if got := code(err); got != tt.want {
				t.Errorf("code = %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func TestLimitsEndTheWalk(t *testing.T) {
	t.Parallel()
	three := archive(t, file("a/b/c", "12345"), file("d", "12345"), file("e", "12345"))
	tests := map[string]struct {
		limits safearchive.Limits
		want   string
	}{
		"none is reached":          {safearchive.Limits{Entries: 3, Unpacked: 1 << 20, PathLength: 5, Depth: 2}, ""},
		"one entry too many":       {safearchive.Limits{Entries: 2}, "archive-too-many-entries"},
		"the stream is too long":   {safearchive.Limits{Unpacked: 2000}, "archive-too-large"},
		"the packed bytes, too":    {safearchive.Limits{Packed: 1000}, "archive-too-large"},
		"the path is too long":     {safearchive.Limits{PathLength: 4}, "archive-path-too-long"},
		"the folders are too deep": {safearchive.Limits{Depth: 1}, "archive-path-too-long"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := list(iotest.OneByteReader(bytes.NewReader(three)), tt.limits)
			if got := code(err); got != tt.want {
				t.Errorf("code = %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func TestCompressionIsRecognised(t *testing.T) {
	t.Parallel()
	raw := archive(t, file("a", "content"))
	half := len(raw) / 2
	forms := map[string][]byte{
		"plain":                         raw,
		"gzip":                          gzipped(t, raw),
		"gzip in two members":           append(gzipped(t, raw[:half]), gzipped(t, raw[half:])...),
		"zstd":                          zstded(t, raw),
		"zstd after a skipped frame":    append([]byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"), zstded(t, raw)...),
		"plain, with padding after end": append(bytes.Clone(raw), make([]byte, 512)...),
	}
	for name, packed := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Once as a stream, once where seeking is possible.
			for _, r := range []io.Reader{struct{ io.Reader }{bytes.NewReader(packed)}, bytes.NewReader(packed)} {
				got, err := list(r, safearchive.PackageLimits())
				if err != nil || len(got) != 1 || got[0] != "a=content" {
					t.Errorf("list = %q, %v", got, err)
				}
			}
		})
	}
}

func TestDamagedArchivesAreMalformed(t *testing.T) {
	t.Parallel()
	raw := archive(t, file("a", strings.Repeat("content", 1000)))
	flipped := gzipped(t, raw)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	tests := map[string][]byte{
		"text":                 bytes.Repeat([]byte("not a tar "), 100),
		"plain cut short":      raw[:2000],
		"gzip cut short":       gzipped(t, raw)[:60],
		"gzip header only":     []byte("\x1f\x8b\x08"),
		"gzip, wrong checksum": flipped,
		"zstd cut short":       zstded(t, raw)[:30],
		"zstd, window of 64 MiB": zstded(t, bytes.Repeat([]byte("0123456789abcdef"), 1<<20),
			zstd.WithWindowSize(64<<20)),
	}
	for name, packed := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := list(bytes.NewReader(packed), safearchive.PackageLimits()); code(err) != "archive-malformed" {
				t.Errorf("err = %v, want archive-malformed", err)
			}
		})
	}
}

func TestAnErrorOfTheReaderIsNotTheArchives(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	raw := archive(t, file("a", strings.Repeat("x", 100_000)))
	for name, packed := range map[string][]byte{"plain": raw, "gzip": gzipped(t, raw), "zstd": zstded(t, raw), "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), iotest.ErrReader(broken))
			if _, err := list(r, safearchive.PackageLimits()); !errors.Is(err, broken) {
				t.Errorf("err = %v, want %v", err, broken)
			}
		})
	}
}

func TestABombIsNotUnfolded(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, zeroes{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	w.Close()
	stream, free, err := safearchive.Decompress(&b, safearchive.Limits{Unpacked: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	n, err := io.Copy(io.Discard, stream)
	if code(err) != "archive-too-large" || n > 2<<20 {
		t.Errorf("%d bytes came out, err %v", n, err)
	}
}

func TestTheRatioIsLookedAtAfterAGigabyte(t *testing.T) {
	t.Parallel()
	limits := safearchive.Limits{Ratio: 256}
	stream, free, err := safearchive.Decompress(bytes.NewReader(zstded(t, make([]byte, 64<<20))), limits)
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	if n, err := io.Copy(io.Discard, stream); err != nil || n != 64<<20 {
		t.Errorf("64 MiB of zeroes: %d bytes, %v", n, err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSurveyLeavesOutWhatIsHostile(t *testing.T) {
	t.Parallel()
	raw := archive(t,
		file("../escape", "x"), file("/usr/bin/a", "kept"), file("b/../c", "kept"), hardlink("h", "../../etc/shadow"),
		symlink("loop", "loop"), symlink("out", "/etc"), tar.Header{Name: "dev", Typeflag: tar.TypeChar}, file("loop/x", "kept"))
	var kept, skipped []string
	err := safearchive.Survey(bytes.NewReader(raw), safearchive.LayerLimits(),
		func(e safearchive.Entry, _ io.Reader) error { kept = append(kept, e.Path); return nil },
		func(f *fault.Error) { skipped = append(skipped, f.Code) })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(kept), "[usr/bin/a c loop out dev loop/x]"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(skipped), "[archive-path-escape archive-link-escape]"; got != want {
		t.Errorf("skipped %s, want %s", got, want)
	}
}

func TestAnErrorOfVisitComesOutAsItIs(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	err := safearchive.Walk(bytes.NewReader(archive(t, file("a", ""))), safearchive.PackageLimits(),
		func(safearchive.Entry, io.Reader) error { return stop })
	if err != stop {
		t.Errorf("err = %v", err)
	}
}

// Not parallel: it measures the heap.
func TestNamesDoNotKeepTheirHeadersAlive(t *testing.T) {
	headers := make([]tar.Header, 64)
	for i := range headers {
		headers[i] = file(fmt.Sprintf("%0200d", i), "")
		headers[i].PAXRecords = map[string]string{"HULLMARK.padding": strings.Repeat("x", 900_000)}
	}
	packed := gzipped(t, archive(t, headers...))
	before := heap()
	stream, free, err := safearchive.Decompress(bytes.NewReader(packed), safearchive.LayerLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	var paths []string
	if err := safearchive.Walk(stream, safearchive.PackageLimits(), func(e safearchive.Entry, _ io.Reader) error {
		paths = append(paths, e.Path)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d names keep %d bytes alive", len(paths), grown)
	}
	runtime.KeepAlive(paths)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
