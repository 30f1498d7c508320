package tlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
)

const origin = "log.example/test"

// entries is a Leaves over a slice, as a database would be.
type entries struct {
	mu  sync.Mutex
	all [][]byte
}

func (e *entries) grow(to int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := len(e.all); i < to; i++ {
		e.all = append(e.all, fmt.Appendf(nil, "entry %d %s", i, strings.Repeat("x", i%40)))
	}
}

// cut drops the entries from n on, as a database restored from an old backup does.
func (e *entries) cut(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = e.all[:n]
}

func (e *entries) Size(context.Context) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int64(len(e.all)), nil
}

func (e *entries) Entries(_ context.Context, from, to int64) ([][]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[from:to], nil
}

func (e *entries) LeafHashes(ctx context.Context, from, to int64) ([]Hash, error) {
	all, err := e.Entries(ctx, from, to)
	hashes := make([]Hash, len(all))
	for i, entry := range all {
		hashes[i] = LeafHash(entry)
	}
	return hashes, err
}

// files is an Objects in memory that can run out of luck: after budget writes every further one
// fails, which to the log looks like a crash. A negative budget never ends.
type files struct {
	mu     sync.Mutex
	named  map[string][]byte
	budget int
	reads  int
}

// allow sets the budget.
func (f *files) allow(writes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.budget = writes
}

var errCrash = errors.New("crashed")

func newFiles() *files { return &files{named: map[string][]byte{}, budget: -1} }

func (f *files) WriteObject(_ context.Context, name string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.budget == 0 {
		return errCrash
	}
	f.budget--
	f.named[name] = bytes.Clone(data)
	return nil
}

func (f *files) ReadObject(_ context.Context, name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	data, ok := f.named[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return bytes.Clone(data), nil
}

// testKey is made once: making keys is not what these tests are about.
var testKey = sync.OnceValue(func() (key struct {
	note.Signer
	note.Verifier
}) {
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		panic(err)
	}
	if key.Signer, err = note.NewSigner(skey); err != nil {
		panic(err)
	}
	if key.Verifier, err = note.NewVerifier(vkey); err != nil {
		panic(err)
	}
	return key
})

func config(leaves Leaves, objects Objects) Config {
	key := testKey()
	return Config{Origin: origin, Leaves: leaves, Objects: objects,
		Signer: key.Signer, Verifier: key.Verifier, Clock: clock.System{}}
}

func open(t testing.TB, leaves Leaves, objects Objects) *Log {
	t.Helper()
	l, err := Open(t.Context(), config(leaves, objects))
	if err != nil {
		t.Fatalf("open log: %v", err)
	}
	return l
}

func sequence(t testing.TB, l *Log) Checkpoint {
	t.Helper()
	c, err := l.Sequence(t.Context())
	if err != nil {
		t.Fatalf("sequence: %v", err)
	}
	return c
}

func wantCode(t testing.TB, what string, err error, code string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code {
		t.Errorf("%s: error %v, want %s", what, err, code)
	}
}

// reference is the tree as x/mod's own functions make it, hash by hash.
type reference struct{ stored []Hash }

func (r *reference) ReadHashes(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, index := range indexes {
		out[i] = r.stored[index]
	}
	return out, nil
}

// roots returns the reference and its root at every size up to len(all).
func roots(t testing.TB, all [][]byte) (*reference, []Hash) {
	t.Helper()
	r := &reference{}
	sizes := []Hash{emptyRoot()}
	for i, entry := range all {
		hashes, err := xtlog.StoredHashes(int64(i), entry, r)
		if err != nil {
			t.Fatal(err)
		}
		r.stored = append(r.stored, hashes...)
		root, err := xtlog.TreeHash(int64(i+1), r)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, root)
	}
	return r, sizes
}

func TestNewLogSignsTheEmptyTree(t *testing.T) {
	t.Parallel()
	objects := newFiles()
	c := open(t, &entries{}, objects).Checkpoint()
	text := origin + "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
	if c.Size != 0 || !strings.HasPrefix(string(c.Note), text+"\n— "+origin+" ") {
		t.Errorf("checkpoint is\n%s", c.Note)
	}
	if !bytes.Equal(objects.named["checkpoint"], c.Note) {
		t.Error("the checkpoint is not stored")
	}
}

func TestCheckpointSaysWhenItWasSigned(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	c, objects := config(&entries{}, nil), newFiles()
	c.Objects, c.Clock = objects, clock.Func(func() time.Time { return at })
	l, err := Open(t.Context(), c)
	if err != nil || !l.Checkpoint().Time.Equal(at) {
		t.Errorf("signed at %v, %v; want %v", l.Checkpoint().Time, err, at)
	}
	again, err := Open(t.Context(), c)
	if err != nil || !again.Checkpoint().Time.IsZero() {
		t.Errorf("read with time %v, %v; want none", again.Checkpoint().Time, err)
	}
}

func TestEverySizeHasTheReferenceRootAndProofs(t *testing.T) {
	t.Parallel()
	const last = 600
	leaves := &entries{}
	l := open(t, leaves, newFiles())
	whole := &entries{}
	whole.grow(last)
	ref, want := roots(t, whole.all)
	for size := int64(1); size <= last; size++ {
		leaves.grow(int(size))
		if c := sequence(t, l); c.Size != size || c.Root != want[size] {
			t.Fatalf("size %d: checkpoint of size %d with root %v, want %v", size, c.Size, c.Root, want[size])
		}
	}
	for size := int64(1); size <= last; size += 7 {
		for _, other := range []int64{0, 1, size / 3, size / 2, size - 2, size - 1} {
			checkProofs(t, l, ref, min(max(other, 0), size-1), size)
		}
	}
}

// checkProofs compares inclusion of entry i and consistency from size i with x/mod's proofs.
func checkProofs(t *testing.T, l *Log, ref *reference, i, size int64) {
	t.Helper()
	got, err := l.Inclusion(t.Context(), i, size)
	want, _ := xtlog.ProveRecord(size, i, ref)
	if err != nil || !slices.Equal(got, []Hash(want)) {
		t.Fatalf("inclusion of %d in %d: %v, %v; want %v", i, size, got, err, want)
	}
	if i == 0 {
		return
	}
	got, err = l.Consistency(t.Context(), i, size)
	tree, _ := xtlog.ProveTree(size, i, ref)
	if err != nil || !slices.Equal(got, []Hash(tree)) {
		t.Fatalf("consistency of %d with %d: %v, %v; want %v", i, size, got, err, tree)
	}
}

func TestStepsBigAndSmallEndWithTheSameFiles(t *testing.T) {
	t.Parallel()
	const last = 70_000 // C2SP's example of a tree with three levels; more than one step
	whole := &entries{}
	whole.grow(last)
	once := newFiles()
	c := sequence(t, open(t, whole, once))
	_, want := roots(t, whole.all)
	if c.Root != want[last] || c.Size != last {
		t.Fatalf("size %d root %v, want %v", c.Size, c.Root, want[last])
	}
	for _, name := range []string{"tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1",
		"tile/entries/272", "tile/entries/273.p/112"} {
		if once.named[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	often, leaves := newFiles(), &entries{}
	for i := 0; i < last; i += 9973 {
		leaves.grow(min(i+9973, last))
		sequence(t, open(t, leaves, often)) // a new process each time
	}
	leaves.grow(last)
	sequence(t, open(t, leaves, often))
	for name, data := range once.named {
		if !bytes.Equal(often.named[name], data) && !strings.Contains(name, ".p/") {
			t.Errorf("%s differs between one step and many", name)
		}
	}
}

func TestNothingNewWritesNothing(t *testing.T) {
	t.Parallel()
	leaves, objects := &entries{}, newFiles()
	leaves.grow(300)
	l := open(t, leaves, objects)
	first := sequence(t, l)
	objects.allow(0)
	if second := sequence(t, l); !bytes.Equal(first.Note, second.Note) {
		t.Error("a new checkpoint was signed for nothing")
	}
}

func TestCostFollowsTheNewEntriesNotTheTree(t *testing.T) {
	t.Parallel()
	leaves, objects := &entries{}, newFiles()
	leaves.grow(66_000)
	l := open(t, leaves, objects)
	sequence(t, l)
	leaves.grow(66_001)
	objects.reads = 0
	objects.allow(100)
	sequence(t, l)
	if written := 100 - objects.budget; written > 5 || objects.reads > 12 {
		t.Errorf("one entry cost %d writes and %d reads", written, objects.reads)
	}
}

func TestCrashAtEveryWriteEndsWithTheSameTiles(t *testing.T) {
	t.Parallel()
	stops := []int{3, 256, 700, 1300}
	clean, leaves := newFiles(), &entries{}
	l := open(t, leaves, clean)
	for _, stop := range stops {
		leaves.grow(stop)
		sequence(t, l)
	}
	for crashAt := range len(clean.named) + 10 {
		objects := crashOnce(t, stops, crashAt)
		if got, want := slices.Sorted(maps.Keys(objects.named)), slices.Sorted(maps.Keys(clean.named)); !slices.Equal(got, want) {
			t.Fatalf("crash at write %d: files %v, want %v", crashAt, got, want)
		}
		for name, data := range clean.named {
			if !bytes.Equal(objects.named[name], data) {
				t.Fatalf("crash at write %d: %s differs", crashAt, name)
			}
		}
	}
}

// crashOnce plays the stops with a crash after crashAt writes, then goes on in a new process.
// Every checkpoint that was handed out must be extended by the last.
func crashOnce(t *testing.T, stops []int, crashAt int) *files {
	t.Helper()
	leaves, objects := &entries{}, newFiles()
	objects.allow(crashAt)
	var handedOut []Checkpoint
	l, err := Open(t.Context(), config(leaves, objects))
	for i := 0; i < len(stops); {
		if err != nil {
			objects.allow(-1)
			l, err = open(t, leaves, objects), nil
		}
		handedOut = append(handedOut, l.Checkpoint())
		leaves.grow(stops[i])
		if _, err = l.Sequence(t.Context()); err == nil {
			i++
		} else if !errors.Is(err, errCrash) {
			t.Fatalf("crash at write %d: %v", crashAt, err)
		}
	}
	for _, old := range handedOut {
		proof, err := l.Consistency(t.Context(), old.Size, l.Checkpoint().Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyConsistency(old.Note, l.Checkpoint().Note, proof, testKey().Verifier); err != nil {
			t.Fatalf("crash at write %d: size %d handed out, then %v", crashAt, old.Size, err)
		}
	}
	return objects
}

func TestAFailedWriteIsRepeatedByTheSameProcess(t *testing.T) {
	t.Parallel()
	leaves, objects := &entries{}, newFiles()
	l := open(t, leaves, objects)
	leaves.grow(1000)
	for budget := range 10 {
		objects.allow(budget)
		before := l.Checkpoint()
		if _, err := l.Sequence(t.Context()); err == nil {
			t.Fatalf("%d writes were enough for 3 tiles, 3 bundles, 3 partial ones and a checkpoint", budget)
		}
		if !bytes.Equal(l.Checkpoint().Note, before.Note) {
			t.Fatal("a checkpoint is shown that was not stored")
		}
	}
	objects.allow(-1)
	_, want := roots(t, leaves.all)
	if c := sequence(t, l); c.Root != want[1000] {
		t.Errorf("root %v after failures, want %v", c.Root, want[1000])
	}
}

func TestConfigThatCanNotWorkIsRefused(t *testing.T) {
	t.Parallel()
	other, _, err := LoadOrCreateSigner(filepath.Join(t.TempDir(), "key"), "other.example", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	same, _, err := LoadOrCreateSigner(filepath.Join(t.TempDir(), "key"), origin, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no leaves":                 func(c *Config) { c.Leaves = nil },
		"no objects":                func(c *Config) { c.Objects = nil },
		"no clock":                  func(c *Config) { c.Clock = nil },
		"no signer":                 func(c *Config) { c.Signer = nil },
		"no verifier":               func(c *Config) { c.Verifier = nil },
		"a key of another log":      func(c *Config) { c.Signer = other },
		"a signer of another key":   func(c *Config) { c.Signer = same },
		"an origin that has no key": func(c *Config) { c.Origin = "elsewhere.example" },
	} {
		c := config(&entries{}, newFiles())
		change(&c)
		if _, err := Open(t.Context(), c); err == nil {
			t.Errorf("%s: the log opened", name)
		}
	}
}
