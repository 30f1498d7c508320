package dist

import (
	"bytes"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
	"github.com/hullmark/hullmark/internal/safearchive"
)

var fuzzLimits = safearchive.Limits{Entries: 500, PathLength: 300, Depth: 20, Packed: 1 << 20, Unpacked: 4 << 20}

func ours(t *testing.T, err error) {
	if err != nil && fault.KindOf(err) == fault.Internal {
		t.Errorf("bytes caused an internal error: %v", err)
	}
}

func FuzzWheel(f *testing.F) {
	d := pypitest.Dist{Name: "acme-ui", Version: "1.0", Requires: []string{"a>=1"}, Files: map[string]string{"a.pth": "import x\n"}}
	f.Add(d.WheelBytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := ReadWheel(bytes.NewReader(raw), int64(len(raw)), "acme-ui", "1.0", fuzzLimits)
		ours(t, err)
	})
}

func FuzzSdist(f *testing.F) {
	f.Add(pypitest.Dist{Name: "acme-ui", Version: "1.0"}.SdistBytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := ReadSdist(bytes.NewReader(raw), "acme-ui", "1.0", fuzzLimits)
		ours(t, err)
	})
}

// FuzzMetadata reads core metadata and RECORD.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte("Metadata-Version: 2.1\nName: a\nVersion: 1\nRequires-Dist: b[c] (>=1); x\n y\n\ntext"))
	f.Add([]byte("a.py,sha256=AAAA,1\n\"b\",,\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseMetadata(raw)
		ours(t, err)
		if err == nil {
			m.dependencies()
			ours(t, m.check("a", "1"))
		}
		ours(t, checkRecord(raw, "a-1.dist-info", nil))
		ours(t, checkEntryPoints(raw))
	})
}
