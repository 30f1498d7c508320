package tlog

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// filled returns a log of n entries and what it is made of.
func filled(t testing.TB, n int) (*Log, *entries, *files) {
	t.Helper()
	leaves, objects := &entries{}, newFiles()
	leaves.grow(n)
	l := open(t, leaves, objects)
	sequence(t, l)
	return l, leaves, objects
}

func TestOneChangedByteOfATileIsFoundWhenAProofReadsIt(t *testing.T) {
	t.Parallel()
	const n = 700
	l, _, objects := filled(t, n)
	for _, name := range []string{"tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"} {
		good := objects.named[name]
		for at := 0; at < len(good); at += 37 {
			objects.named[name] = bytes.Clone(good)
			objects.named[name][at] ^= 1
			_, err := l.Inclusion(t.Context(), indexIn(name), n)
			wantCode(t, name, err, "log-inconsistent")
		}
		objects.named[name] = good[:len(good)-1]
		_, err := l.Inclusion(t.Context(), indexIn(name), n)
		wantCode(t, name+" cut short", err, "log-inconsistent")
		delete(objects.named, name)
		_, err = l.Inclusion(t.Context(), indexIn(name), n)
		wantCode(t, name+" removed", err, "log-inconsistent")
		objects.named[name] = good
	}
	if _, err := l.Inclusion(t.Context(), 5, n); err != nil {
		t.Errorf("with everything restored: %v", err)
	}
}

// indexIn returns an entry whose proof reads the tile.
func indexIn(name string) int64 {
	switch {
	case strings.HasPrefix(name, "tile/0/001"):
		return 300
	case strings.HasPrefix(name, "tile/0/002"):
		return 600
	}
	return 5
}

func TestARemovedPartialTileIsReadFromTheFullOne(t *testing.T) {
	t.Parallel()
	l, leaves, objects := filled(t, 200)
	old := l.Checkpoint()
	leaves.grow(300)
	ahead := open(t, leaves, objects)
	sequence(t, ahead)
	delete(objects.named, "tile/0/000.p/200")
	// l still stands at the old checkpoint, whose partial tile is gone.
	proof, err := l.Inclusion(t.Context(), 100, 200)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyInclusion(leaves.all[100], 100, proof, old.Note, testKey().Verifier); err != nil {
		t.Error(err)
	}
}

func TestALogWithADamagedEdgeDoesNotOpen(t *testing.T) {
	t.Parallel()
	_, leaves, objects := filled(t, 700)
	for _, name := range []string{"tile/0/002.p/188", "tile/1/000.p/2"} {
		good := objects.named[name]
		for what, bad := range map[string][]byte{
			"changed": flip(good, 40), "cut short": good[:32], "longer": append(bytes.Clone(good), good[:32]...), "empty": {},
		} {
			objects.named[name] = bad
			_, err := Open(t.Context(), config(leaves, objects))
			wantCode(t, name+" "+what, err, "log-inconsistent")
		}
		delete(objects.named, name)
		_, err := Open(t.Context(), config(leaves, objects))
		wantCode(t, name+" removed", err, "log-inconsistent")
		objects.named[name] = good
	}
	open(t, leaves, objects)
}

func flip(data []byte, at int) []byte {
	bad := bytes.Clone(data)
	bad[at] ^= 0x80
	return bad
}

func TestNothingIsSignedWhenTheStoredTilesDoNotProveIt(t *testing.T) {
	t.Parallel()
	l, leaves, objects := filled(t, 300)
	before := objects.named["checkpoint"]
	// The proof that 520 entries extend 300 needs hashes from inside the second tile, which is
	// written now: a store that damages it on the way is found out.
	l.config.Objects = damaging{objects, "tile/0/001"}
	leaves.grow(520)
	_, err := l.Sequence(t.Context())
	wantCode(t, "sequence", err, "log-inconsistent")
	if !bytes.Equal(objects.named["checkpoint"], before) || l.Checkpoint().Size != 300 {
		t.Error("a checkpoint was signed")
	}
	l.config.Objects = objects
	if c := sequence(t, l); c.Size != 520 {
		t.Errorf("size %d once the store is sound, want 520", c.Size)
	}
}

// damaging stores one object wrongly and says that all is well.
type damaging struct {
	*files
	name string
}

func (d damaging) WriteObject(ctx context.Context, name string, data []byte) error {
	if name == d.name {
		data = flip(data, 50*32)
	}
	return d.files.WriteObject(ctx, name, data)
}

func TestAnEdgeThatChangedInMemoryIsNotSigned(t *testing.T) {
	t.Parallel()
	l, leaves, objects := filled(t, 100)
	before := objects.named["checkpoint"]
	l.edge.levels[0][7] ^= 1 // what a bug or a bad memory chip would do
	leaves.grow(101)
	_, err := l.Sequence(t.Context())
	wantCode(t, "sequence", err, "log-inconsistent")
	if !bytes.Equal(objects.named["checkpoint"], before) || l.Checkpoint().Size != 100 {
		t.Error("a checkpoint was signed")
	}
}

func TestADatabaseThatDisagreesIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*entries){
		"rolled back":          func(e *entries) { e.all = e.all[:500] },
		"with an edited entry": func(e *entries) { e.all[690] = []byte("edited") },
		"with entries swapped": func(e *entries) { e.all[600], e.all[601] = e.all[601], e.all[600] },
	} {
		_, leaves, objects := filled(t, 700)
		change(leaves)
		_, err := Open(t.Context(), config(leaves, objects))
		wantCode(t, name, err, "log-inconsistent")
	}
}

// liar returns hashes that are not those of its entries.
type liar struct{ *entries }

func (l liar) LeafHashes(ctx context.Context, from, to int64) ([]Hash, error) {
	hashes, err := l.entries.LeafHashes(ctx, from, to)
	hashes[len(hashes)-1][0] ^= 1
	return hashes, err
}

func TestAnEntryThatIsNotWhatWasHashedIsNotPublished(t *testing.T) {
	t.Parallel()
	leaves := &entries{}
	leaves.grow(5)
	_, err := open(t, liar{leaves}, newFiles()).Sequence(t.Context())
	wantCode(t, "wrong hash", err, "log-inconsistent")
	long := &entries{all: [][]byte{make([]byte, MaxEntry+1)}}
	_, err = open(t, long, newFiles()).Sequence(t.Context())
	wantCode(t, "too long", err, "log-inconsistent")
	fits := &entries{all: [][]byte{make([]byte, MaxEntry)}}
	if _, err = open(t, fits, newFiles()).Sequence(t.Context()); err != nil {
		t.Errorf("the longest entry: %v", err)
	}
}

func TestACheckpointOfAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	leaves, objects := &entries{}, newFiles()
	open(t, leaves, objects)
	signer, verifier := anotherKey(t, origin)
	c := config(leaves, objects)
	c.Signer, c.Verifier = signer, verifier
	_, err := Open(t.Context(), c)
	wantCode(t, "open with a new key", err, "checkpoint-invalid")
}
