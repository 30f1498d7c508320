package evidence_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
)

func encoded(t testing.TB, inv *evidence.Inventory) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := inv.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sample() *evidence.Inventory {
	return &evidence.Inventory{
		Analyser: "layer/1", DiffID: digestOf("layer"), Entries: 3, Bytes: 100,
		OS:         &evidence.OSRelease{ID: "debian", VersionID: "12"},
		Components: []evidence.Component{{PURL: "pkg:npm/a@1.0.0", Path: "a/package.json"}},
		Databases:  []evidence.Database{{Path: "var/lib/dpkg/status", Components: []evidence.Component{{PURL: "pkg:deb/debian/bash@5", Path: "var/lib/dpkg/status"}}}},
		Files:      []evidence.File{{Path: "bin/sh", Size: 10, Mode: 0o755, SHA256: digestOf("sh")}},
		Whiteouts:  []string{"etc/motd"}, Opaque: []string{"srv"},
	}
}

func TestAnInventoryComesBackAsItWas(t *testing.T) {
	t.Parallel()
	got, err := evidence.DecodeInventory(bytes.NewReader(encoded(t, sample())))
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, sample())
	}
	n := 0
	for range got.AllComponents {
		n++
	}
	if n != 2 {
		t.Errorf("%d components, want 2: the declared one and the database's", n)
	}
}

func TestEqualInventoriesAreStoredAsOneBlob(t *testing.T) {
	t.Parallel()
	if !bytes.Equal(encoded(t, sample()), encoded(t, sample())) {
		t.Error("encoding is not deterministic: a layer that is read twice would be stored twice")
	}
}

func FuzzDecodeInventory(f *testing.F) {
	f.Add(encoded(f, sample()))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := evidence.DecodeInventory(bytes.NewReader(data))
		if (inv == nil) == (err == nil) {
			t.Errorf("got both or neither of an inventory and an error: %v, %v", inv, err)
		}
	})
}

func FuzzDecodeStatement(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x"}],"predicateType":"https://hullmark.dev/recall/v1","predicate":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := evidence.DecodeStatement(data)
		if err != nil {
			return
		}
		if body, err := s.Encode(); err == nil {
			again, err := evidence.DecodeStatement(body)
			if err != nil || again.Seq != s.Seq || again.PredicateType != s.PredicateType {
				t.Errorf("%q does not survive a round trip: %v", data, err)
			}
		}
	})
}
