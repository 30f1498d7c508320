package registry_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// wheel is a file of a PyPI release.
func wheel(version, file string) registry.Upload {
	return registry.Upload{
		Ecosystem: purl.PyPI, Name: "acme-ui", Version: version, File: file, PURL: purl.New(purl.PyPI, "acme-ui", version),
		Artifact: digest.FromBytes([]byte(file)), Size: 7, MediaType: "application/zip", ArtifactType: "bdist_wheel",
	}
}

func newFileWorld(t *testing.T) *world {
	w := newWorld(t)
	accounttest.Check(t, w.Access().(*account.Service).ClaimNamespace(t.Context(), w.admin, "acme", purl.PyPI, "acme-*", account.Private))
	return w
}

func TestAVersionConsistsOfFilesEachOfWhichIsPublishedOnce(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ctx := t.Context()
	accounttest.Check(t, w.Publish(ctx, w.admin, wheel("1.0", "a-1.0.whl")))
	accounttest.Check(t, w.Publish(ctx, w.admin, wheel("1.0", "a-1.0.tar.gz")))
	wantCode(t, w.Publish(ctx, w.admin, wheel("1.0", "a-1.0.whl")), "file-exists")
	all, err := w.Releases(ctx, purl.PyPI, "acme-ui")
	accounttest.Check(t, err)
	if len(all) != 2 || all[0].File != "a-1.0.whl" || all[1].File != "a-1.0.tar.gz" {
		t.Fatalf("%+v", all)
	}
	accounttest.Check(t, w.Unlist(ctx, w.admin, purl.PyPI, "acme-ui", "1.0", "broken"))
	accounttest.Check(t, w.Withdraw(ctx, w.admin, purl.PyPI, "acme-ui", "1.0", "gone"))
	all, err = w.Releases(ctx, purl.PyPI, "acme-ui")
	accounttest.Check(t, err)
	for _, r := range all {
		if r.State != registry.Withdrawn || r.Unlisted != "broken" {
			t.Errorf("%s is %s, unlisted because %q", r.File, r.State, r.Unlisted)
		}
	}
	wantCode(t, w.Publish(ctx, w.admin, wheel("1.0", "a-1.0.whl")), "file-exists")
}

func TestADraftIsPublishedAsOneOrNotAtAll(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ctx := t.Context()
	want := registry.Draft{Ecosystem: purl.PyPI, Subject: "acme-ui 1.0"}
	d, err := w.OpenDraft(ctx, w.admin, want, time.Hour, rand.Reader)
	accounttest.Check(t, err)
	_, err = w.OpenDraft(ctx, w.admin, want, time.Hour, rand.Reader)
	wantCode(t, err, "draft-exists")
	_, err = w.PublishDraft(ctx, w.admin, d, func(*registry.Upload) {})
	wantCode(t, err, "draft-empty")
	for _, file := range []string{"a-1.0.whl", "a-1.0.tar.gz"} {
		u := wheel("1.0", file)
		accounttest.Check(t, w.PutDraftFile(ctx, d.ID, registry.DraftFile{
			Name: u.Name, Version: u.Version, File: file, PURL: u.PURL, Type: u.ArtifactType, Artifact: u.Artifact, Size: u.Size, MediaType: u.MediaType,
		}))
	}
	accounttest.Check(t, w.Publish(ctx, w.admin, wheel("1.0", "a-1.0.whl"))) // somebody is faster with one of them
	d, err = w.DraftOf(ctx, purl.PyPI, "acme-ui 1.0")
	accounttest.Check(t, err)
	_, err = w.PublishDraft(ctx, w.admin, d, func(*registry.Upload) {})
	wantCode(t, err, "file-exists")
	if all, err := w.Releases(ctx, purl.PyPI, "acme-ui"); err != nil || len(all) != 1 {
		t.Errorf("%d files, %v", len(all), err)
	}
	accounttest.Check(t, w.RemoveDraftFile(ctx, d.ID, "acme-ui", "a-1.0.whl"))
	d, err = w.Draft(ctx, purl.PyPI, d.ID)
	accounttest.Check(t, err)
	_, err = w.PublishDraft(ctx, w.admin, d, func(*registry.Upload) {})
	accounttest.Check(t, err)
	d, err = w.Draft(ctx, purl.PyPI, d.ID)
	accounttest.Check(t, err)
	if d.State != registry.DraftPublished {
		t.Errorf("the draft is %s", d.State)
	}
	wantCode(t, w.DropDraft(ctx, d.ID), "draft-unknown")
	_, err = w.OpenDraft(ctx, w.admin, want, time.Hour, rand.Reader)
	accounttest.Check(t, err)
}
