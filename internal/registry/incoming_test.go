package registry_test

import (
	"crypto/sha512"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

func TestWhatIsReceivedIsBoundedAndBlamedRightly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours := fault.New(fault.Invalid, "tarball-layout", "no")
	for title, c := range map[string]struct {
		content io.Reader
		want    string
	}{
		"as long as the limit":      {strings.NewReader("12345678"), ""},
		"longer than the limit":     {strings.NewReader("123456789"), "body-too-large"},
		"the sender has gone":       {io.MultiReader(strings.NewReader("1"), iotest.ErrReader(io.ErrUnexpectedEOF)), "body-malformed"},
		"the reader knows a reason": {iotest.ErrReader(ours), "tarball-layout"},
	} {
		f, err := w.Receive(t.Context(), "the file", c.content, 8)
		if got := codeOf(err); got != c.want {
			t.Errorf("%s: refused with %q, want %q", title, got, c.want)
		}
		f.Close()
	}
	disk := errors.New("no space left on device")
	_, err := w.Receive(t.Context(), "the file", strings.NewReader("1"), 8, failing{disk})
	if !errors.Is(err, disk) || fault.KindOf(err) != fault.Internal {
		t.Errorf("a failure of ours came out as %v", err)
	}
}

func TestAReceivedFileIsStoredWithWhatIsToldOfIt(t *testing.T) {
	t.Parallel()
	w, sum := newWorld(t), sha512.New()
	f, err := w.Receive(t.Context(), "the file", strings.NewReader("content"), 100, sum)
	accounttest.Check(t, err)
	defer f.Close()
	if want := digest.FromBytes([]byte("content")); f.Digest() != want || f.Size() != 7 {
		t.Errorf("received %s of %d bytes, want %s of 7", f.Digest(), f.Size(), want)
	}
	accounttest.Check(t, f.Look(func(content blob.Reader) error {
		raw, err := io.ReadAll(content)
		if string(raw) != "content" {
			t.Errorf("looked at %q", raw)
		}
		return err
	}))
	u := upload("@acme/ui", "1.0.0")
	u.Artifact, u.Inventory = "", &evidence.Inventory{Analyser: "test", Files: []evidence.File{{Path: "a"}}}
	accounttest.Check(t, w.Store(t.Context(), f, &u, map[string]string{"a": "<b>"}, []byte("beside")))
	for d, want := range map[digest.Digest]string{
		u.Artifact: "content", u.Metadata: `{"a":"\u003cb\u003e"}`, digest.FromBytes([]byte("beside")): "beside",
	} {
		if got, err := blob.Get(t.Context(), w.Blobs(), d); err != nil || string(got) != want {
			t.Errorf("stored %q (%v), want %q", got, err, want)
		}
	}
	inv, err := w.Record().Inventory(t.Context(), u.DraftFile().Inventory)
	if err != nil || len(inv.Files) != 1 || len(u.Contents) != 1 {
		t.Errorf("the inventory is %v (%v), and there are %d statements", inv, err, len(u.Contents))
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}
