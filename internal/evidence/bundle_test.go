package evidence_test

import (
	"bytes"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/tlog"
)

func openLog(t testing.TB, r *evidence.Record) (*tlog.Log, note.Verifier) {
	t.Helper()
	folder := t.TempDir()
	objects, err := dir.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	signer, vkey, err := tlog.LoadOrCreateSigner(filepath.Join(folder, "log.key"), "test.example/log", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	log, err := tlog.Open(t.Context(), tlog.Config{
		Origin: "test.example/log", Leaves: r, Objects: objects, Signer: signer, Verifier: verifier, Clock: clock.System{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return log, verifier
}

const subject = "pkg:npm/%40acme/ui@1.0.0"

func makeBundle(t testing.TB) ([]byte, note.Verifier) {
	t.Helper()
	r := openRecord(t, t.TempDir(), clock.System{})
	appendOK(t, r, published("other", "1.0.0"))
	appendOK(t, r, published("@acme/ui", "1.0.0", "latest"), decision("@acme/ui", "1.0.0"))
	appendOK(t, r, published("other", "1.0.1"), event(evidence.Deprecated, "@acme/ui", "1.0.0"))
	log, verifier := openLog(t, r)
	b, err := r.Bundle(t.Context(), log, subject)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := b.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), verifier
}

func TestABundleVerifiesAndSaysWhatItProvesAndWhatNot(t *testing.T) {
	t.Parallel()
	raw, verifier := makeBundle(t)
	report, err := evidence.VerifyBundle(bytes.NewReader(raw), verifier)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Statements) != 3 || report.Size != 5 || report.Subject != subject {
		t.Errorf("%d statements of a log of %d about %s", len(report.Statements), report.Size, report.Subject)
	}
	for _, item := range report.Statements {
		if item.Proves == "" || item.DoesNotProve == "" {
			t.Errorf("statement %d says nothing about what it proves or does not", item.Statement.Seq)
		}
	}
}

func TestEveryFlippedByteIsNoticedAndTheStatementNamed(t *testing.T) {
	t.Parallel()
	raw, verifier := makeBundle(t)
	masks := []byte{0x01, 0x02, 0x20, 0x80}
	if testing.Short() {
		masks = masks[:1]
	}
	for i := range raw {
		for _, mask := range masks {
			bent := bytes.Clone(raw)
			bent[i] ^= mask
			_, err := evidence.VerifyBundle(bytes.NewReader(bent), verifier)
			if err == nil {
				t.Fatalf("byte %d (%q) changed to %q went unnoticed", i, raw[i], bent[i])
			}
			if fault.ExitCode(err) != 7 {
				t.Fatalf("byte %d: exit code %d, want 7: %v", i, fault.ExitCode(err), err)
			}
			if !strings.Contains(err.Error(), "statement") {
				t.Fatalf("byte %d: the sentence names no statement: %v", i, err)
			}
		}
	}
}

func TestABundleOfAnotherLogIsRefused(t *testing.T) {
	t.Parallel()
	raw, _ := makeBundle(t)
	_, other := makeBundle(t)
	if _, err := evidence.VerifyBundle(bytes.NewReader(raw), other); fault.KindOf(err) != fault.Integrity {
		t.Errorf("err = %v, want an integrity fault", err)
	}
}

func TestDroppedSwappedAndRepeatedStatementsAreRefused(t *testing.T) {
	t.Parallel()
	raw, verifier := makeBundle(t)
	lines := bytes.SplitAfter(raw, []byte("\n"))
	cases := map[string][][]byte{
		"cut off at the end": lines[:len(lines)-2],
		"swapped":            {lines[0], lines[2], lines[1], lines[3], lines[4]},
		"repeated":           {lines[0], lines[1], lines[1], lines[2], lines[3], lines[4]},
	}
	for name, bent := range cases {
		if _, err := evidence.VerifyBundle(bytes.NewReader(bytes.Join(bent, nil)), verifier); fault.KindOf(err) != fault.Integrity {
			t.Errorf("%s: err = %v, want an integrity fault", name, err)
		}
	}
}

func TestAnEmptyRecordGivesNoBundle(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	log, _ := openLog(t, r)
	if _, err := r.Bundle(t.Context(), log, subject); fault.KindOf(err) != fault.NotFound {
		t.Errorf("err = %v, want not found", err)
	}
}

func FuzzVerifyBundle(f *testing.F) {
	raw, verifier := makeBundle(f)
	f.Add(raw)
	f.Add([]byte("{\"mediaType\":\"x\",\"statements\":[\n]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := evidence.VerifyBundle(bytes.NewReader(data), verifier); err != nil {
			return
		}
		for line := range bytes.Lines(data) { // statements may be left out, never altered
			if !bytes.Contains(raw, line) {
				t.Errorf("a line that was never written verifies: %q", line)
			}
		}
	})
}
