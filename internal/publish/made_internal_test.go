package publish

import (
	"slices"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestSettingsAreComparedByNameAndNotWhereNobodyWroteThemDown(t *testing.T) {
	t.Parallel()
	was := map[string]string{"entrypoint": `["/app"]`, "user": "1000", "ports": "80/tcp"}
	is := map[string]string{"entrypoint": `["/sh"]`, "ports": "80/tcp", "volumes": "/data"}
	got := compareSettings(was, is)
	want := []MadeChange{
		{MadeSetting, Changed, "entrypoint", `["/app"]`, `["/sh"]`},
		{MadeSetting, Removed, "user", "1000", ""},
		{MadeSetting, Added, "volumes", "", "/data"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := compareSettings(nil, is); got != nil {
		t.Errorf("against nothing: %+v", got)
	}
}

func TestALayerIsTheSameByItsBytesOrByWhatWasReadOfItAndNotByWhatIsUnknown(t *testing.T) {
	t.Parallel()
	was := []evidence.ImageLayer{{DiffID: "sha256:a", Blob: "sha256:1"}, {DiffID: "sha256:b", Blob: "sha256:2"}}
	is := []evidence.ImageLayer{
		{Blob: "sha256:1"},                     // the same bytes, not read yet
		{DiffID: "sha256:b", Blob: "sha256:3"}, // compressed in another way
		{Blob: "sha256:4"},
	}
	if got := newLayers(was, is); len(got) != 1 || got[0].Blob != "sha256:4" {
		t.Errorf("new: %+v", got)
	}
	if got := newLayers(is, was); len(got) != 0 {
		t.Errorf("gone: %+v", got)
	}
	if sameLayer(evidence.ImageLayer{Blob: "sha256:5"}, []evidence.ImageLayer{{Blob: "sha256:6"}}) {
		t.Error("two layers of which nothing is known are held to be one")
	}
}
