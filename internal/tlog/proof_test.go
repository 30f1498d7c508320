package tlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/fault"
)

func anotherKey(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	signer, vkey, err := LoadOrCreateSigner(filepath.Join(t.TempDir(), "key"), name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func TestInclusionHoldsOnlyForExactlyWhatWasLogged(t *testing.T) {
	t.Parallel()
	l, leaves, _ := filled(t, 300)
	signed, key := l.Checkpoint().Note, testKey().Verifier
	proof, err := l.Inclusion(t.Context(), 123, 300)
	if err != nil {
		t.Fatal(err)
	}
	entry := leaves.all[123]
	if err := VerifyInclusion(entry, 123, proof, signed, key); err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(proof)
	changed[3][0] ^= 1
	for name, err := range map[string]error{
		"another entry":    VerifyInclusion(leaves.all[124], 123, proof, signed, key),
		"another index":    VerifyInclusion(entry, 122, proof, signed, key),
		"a negative index": VerifyInclusion(entry, -1, proof, signed, key),
		"an index beyond":  VerifyInclusion(entry, 300, proof, signed, key),
		"a changed proof":  VerifyInclusion(entry, 123, changed, signed, key),
		"a shorter proof":  VerifyInclusion(entry, 123, proof[1:], signed, key),
		"a longer proof":   VerifyInclusion(entry, 123, append(slices.Clone(proof), Hash{}), signed, key),
		"no proof":         VerifyInclusion(entry, 123, nil, signed, key),
	} {
		wantCode(t, name, err, "proof-invalid")
	}
}

func TestOneChangedBitOfACheckpointIsNoticed(t *testing.T) {
	t.Parallel()
	l, _, _ := filled(t, 10)
	signed := l.Checkpoint().Note
	for i := range signed {
		for bit := range 8 {
			bad := bytes.Clone(signed)
			bad[i] ^= 1 << bit
			if _, err := OpenCheckpoint(bad, testKey().Verifier); fault.KindOf(err) != fault.Integrity {
				t.Errorf("byte %d bit %d: %v", i, bit, err)
			}
		}
	}
}

// TestASignatureHasOneEncoding tries the letters that differ only in bits that base64 leaves unread.
func TestASignatureHasOneEncoding(t *testing.T) {
	t.Parallel()
	l, _, _ := filled(t, 10)
	signed := l.Checkpoint().Note
	at := bytes.LastIndexByte(signed, '=') - 1
	accepted := 0
	for _, letter := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		bad := bytes.Clone(signed)
		bad[at] = letter
		if _, err := OpenCheckpoint(bad, testKey().Verifier); err == nil {
			accepted++
		}
	}
	if accepted != 1 {
		t.Errorf("%d of the 64 letters are accepted in one place, want 1", accepted)
	}
}

func TestConsistencyHoldsOnlyBetweenTheTwoCheckpoints(t *testing.T) {
	t.Parallel()
	l, leaves, _ := filled(t, 100)
	empty := open(t, &entries{}, newFiles()).Checkpoint()
	older, key := l.Checkpoint(), testKey().Verifier
	leaves.grow(300)
	newer := sequence(t, l)
	proof, err := l.Consistency(t.Context(), 100, 300)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"the two":             VerifyConsistency(older.Note, newer.Note, proof, key),
		"one with itself":     VerifyConsistency(newer.Note, newer.Note, nil, key),
		"from the empty tree": VerifyConsistency(empty.Note, newer.Note, nil, key),
		"empty with itself":   VerifyConsistency(empty.Note, empty.Note, nil, key),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	forked, forkedLeaves := newFiles(), &entries{all: [][]byte{[]byte("another history")}}
	forkedLeaves.grow(300)
	fork := sequence(t, open(t, forkedLeaves, forked))
	for name, err := range map[string]error{
		"backwards":                   VerifyConsistency(newer.Note, older.Note, proof, key),
		"no proof":                    VerifyConsistency(older.Note, newer.Note, nil, key),
		"a fork":                      VerifyConsistency(older.Note, fork.Note, proof, key),
		"a fork of the same size":     VerifyConsistency(newer.Note, fork.Note, nil, key),
		"a proof from the empty tree": VerifyConsistency(empty.Note, newer.Note, proof, key),
		"down to the empty tree":      VerifyConsistency(older.Note, empty.Note, nil, key),
	} {
		wantCode(t, name, err, "proof-invalid")
	}
}

func TestProofsOutsideTheCheckpointAreRefused(t *testing.T) {
	t.Parallel()
	l, _, _ := filled(t, 10)
	for _, c := range [][2]int64{{-1, 5}, {5, 5}, {10, 10}, {0, 11}, {0, 0}} {
		_, err := l.Inclusion(t.Context(), c[0], c[1])
		wantCode(t, "inclusion", err, "log-range")
	}
	for _, c := range [][2]int64{{-1, 5}, {6, 5}, {5, 11}} {
		_, err := l.Consistency(t.Context(), c[0], c[1])
		wantCode(t, "consistency", err, "log-range")
	}
	if proof, err := l.Consistency(t.Context(), 0, 10); err != nil || len(proof) != 0 {
		t.Errorf("from the empty tree: %v, %v", proof, err)
	}
}

// brokenDisk fails every read.
type brokenDisk struct{ *files }

func (brokenDisk) ReadObject(context.Context, string) ([]byte, error) { return nil, errBroken }

var errBroken = errors.New("input/output error")

func TestAFailingDiskIsNotTakenForAForgery(t *testing.T) {
	t.Parallel()
	l, _, objects := filled(t, 10)
	l.config.Objects = brokenDisk{objects}
	_, err := l.Inclusion(t.Context(), 1, 10)
	if !errors.Is(err, errBroken) || fault.KindOf(err) != fault.Internal {
		t.Errorf("error %v of kind %v, want the disk's own", err, fault.KindOf(err))
	}
}

func TestCheckpointTextIsReadStrictly(t *testing.T) {
	t.Parallel()
	root := emptyRoot().String()
	for name, text := range map[string]string{
		"two lines":              "o\n0\n",
		"no final newline":       "o\n0\n" + root,
		"an empty origin":        "\n0\n" + root + "\n",
		"an empty extension":     "o\n0\n" + root + "\n\n",
		"a leading zero":         "o\n00\n" + root + "\n",
		"a plus sign":            "o\n+1\n" + root + "\n",
		"a negative size":        "o\n-1\n" + root + "\n",
		"a size beyond 63 bits":  "o\n9223372036854775808\n" + root + "\n",
		"a short root":           "o\n0\nAAAA\n",
		"a root with stray bits": "o\n0\n" + root[:len(root)-2] + "V=\n",
	} {
		if _, _, _, err := parseCheckpoint(text); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if o, size, _, err := parseCheckpoint("o\n7\n" + root + "\nextension\n"); err != nil || o != "o" || size != 7 {
		t.Errorf("with an extension line: %q %d %v", o, size, err)
	}
}

func TestForeignSignaturesAreIgnoredAndForeignOriginsAreNot(t *testing.T) {
	t.Parallel()
	witness, _ := anotherKey(t, "witness.example")
	key := testKey()
	text := origin + "\n0\n" + emptyRoot().String() + "\n"
	cosigned, err := note.Sign(&note.Note{Text: text}, key.Signer, witness)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(cosigned, key.Verifier); err != nil {
		t.Errorf("cosigned: %v", err)
	}
	foreign, err := note.Sign(&note.Note{Text: "elsewhere" + text[len(origin):]}, key.Signer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenCheckpoint(foreign, key.Verifier)
	wantCode(t, "another origin", err, "checkpoint-invalid")
	_, err = OpenCheckpoint(make([]byte, maxNote+1), key.Verifier)
	wantCode(t, "too long", err, "checkpoint-invalid")
}

func FuzzOpenCheckpoint(f *testing.F) {
	root := emptyRoot().String()
	f.Add("log.example\n0\n" + root + "\n")
	f.Add("log.example\n20852163\n" + root + "\nextension\n")
	f.Add("\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = OpenCheckpoint([]byte(text), testKey().Verifier)
		o, size, root, err := parseCheckpoint(text)
		if err != nil {
			return
		}
		again, err := signCheckpoint(o, size, root, testKey().Signer)
		if err == nil && !bytes.HasPrefix([]byte(text), again.Note[:bytes.Index(again.Note, []byte("\n\n"))+1]) {
			t.Errorf("%q is written as %q", text, again.Note)
		}
	})
}
