package container

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

var (
	id1 = strings.Repeat("1a", 32)
	id2 = strings.Repeat("2b", 32)
)

func d(text string) digest.Digest { return digest.FromBytes([]byte(text)) }

func TestTheGroupNamesOfEveryRuntimeAreRecognised(t *testing.T) {
	t.Parallel()
	tests := map[string][]Ref{
		"/libpod_parent/libpod-" + id1:                      {{"/libpod_parent/libpod-" + id1, id1}},
		"/machine.slice/libpod-" + id1 + ".scope/container": {{"/machine.slice/libpod-" + id1 + ".scope", id1}},
		"/kubepods/burstable/pod6f/" + id1:                  {{"/kubepods/burstable/pod6f/" + id1, id1}},
		"/system.slice/docker-" + id1 + ".scope/init.scope": {{"/system.slice/docker-" + id1 + ".scope", id1}},
		"/kubepods.slice/x.slice/crio-" + id1 + ".scope":    {{"/kubepods.slice/x.slice/crio-" + id1 + ".scope", id1}},
		"/k.slice/cri-containerd-" + id1 + ".scope":         {{"/k.slice/cri-containerd-" + id1 + ".scope", id1}},
		"/system.slice/k.slice:cri-containerd:" + id1:       nil, // an id with two prefixes is not a name that a runtime gives
		"/docker/" + id1 + "/kubepods/" + id2:               {{"/docker/" + id1 + "/kubepods/" + id2, id2}, {"/docker/" + id1, id1}},
		"/machine.slice/libpod-conmon-" + id1 + ".scope":    nil,
		"/kubepods.slice/crio-conmon-" + id1 + ".scope":     nil,
		"/user.slice/user-0.slice/session-1.scope":          nil,
		"/x/" + id1[:63]: nil,
		"/":              nil,
	}
	for path, want := range tests {
		if got := Refs(path); !slices.Equal(got, want) {
			t.Errorf("%s\n got %v\nwant %v", path, got, want)
		}
	}
}

func TestLayersAreExplainedOrLeftUnexplained(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	link := filepath.Join(folder, "SHORT")
	if err := os.Symlink("../"+id1+"-init/diff", link); err != nil {
		t.Fatal(err)
	}
	diffIDs := []digest.Digest{d("base"), d("middle"), d("top")}
	tests := map[string]struct {
		lower []string
		known map[string]digest.Digest
		want  []digest.Digest // nil: a gap
	}{
		"by order, topmost first":        {[]string{"/3", "/2", "/1"}, nil, []digest.Digest{d("top"), d("middle"), d("base")}},
		"docker's own layer on top":      {[]string{"/o/" + id1 + "-init/diff", "/3", "/2", "/1"}, nil, []digest.Digest{"", d("top"), d("middle"), d("base")}},
		"docker's own by its short link": {[]string{link, "/3", "/2", "/1"}, nil, []digest.Digest{"", d("top"), d("middle"), d("base")}},
		"one too many, unknown":          {[]string{"/4", "/3", "/2", "/1"}, nil, nil},
		"one too few":                    {[]string{"/2", "/1"}, nil, nil},
		"by name, whatever the order of the image": {[]string{"/l/B", "/s/aa/diff"},
			map[string]digest.Digest{"aa": d("base"), "B": d("top")}, []digest.Digest{d("top"), d("base")}},
		"by name, one not known": {[]string{"/l/X"}, map[string]digest.Digest{"B": d("top")}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := explain(test.lower, diffIDs, test.known)
			if (err != nil) != (test.want == nil) || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v\nwant %v", got, err, test.want)
			}
		})
	}
}

func TestALayerNumberMeansNothingOnAnotherOverlay(t *testing.T) {
	t.Parallel()
	r := Root{Dev: 40, Layers: []digest.Digest{"", d("top"), d("base")}, Explained: true}
	for _, test := range []struct {
		dev  uint64
		n    int
		want digest.Digest
	}{{40, 2, d("top")}, {40, 3, d("base")}, {40, 1, ""}, {40, 0, ""}, {40, 4, ""}, {41, 2, ""}} {
		got, ok := r.Layer(test.dev, test.n)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("layer %d on %d: %q, %v", test.n, test.dev, got, ok)
		}
	}
	if _, ok := (Root{Dev: 40, Layers: r.Layers}).Layer(40, 2); ok {
		t.Error("an unexplained root explains a layer")
	}
}

func TestRulesNameAGroupAndItsDescendants(t *testing.T) {
	t.Parallel()
	r, err := ParseRule("/demo/app=" + string(d("image")) + ",namespace=shop,kind=Deployment,name=web,pod=web-1,reference=acme/web:1,layers=" + string(d("a")) + "+" + string(d("b")))
	if err != nil {
		t.Fatal(err)
	}
	want := Container{
		ID: "app", Cgroup: "/demo/app", Image: d("image"), Pod: "web-1", Reference: "acme/web:1", DiffIDs: []digest.Digest{d("a"), d("b")},
		Workload: evidence.WorkloadRef{Namespace: "shop", Kind: "Deployment", Name: "web"},
	}
	if !reflect.DeepEqual(r.Container, want) {
		t.Errorf("got  %+v\nwant %+v", r.Container, want)
	}
	rules := Rules{r}
	if got := rules.Refs("/demo/app/below"); len(got) != 1 {
		t.Errorf("a group below is not the container's: %v", got)
	}
	if got := rules.Refs("/demo/apple"); len(got) != 0 {
		t.Errorf("a neighbour is the container's: %v", got)
	}
	for _, bad := range []string{"", "app=" + string(d("x")), "/=" + string(d("x")), "/a=sha256:12", "/a", "/a=" + string(d("x")) + ",colour=red", "/a=" + string(d("x")) + ",layers=x"} {
		if _, err := ParseRule(bad); fault.As(err).Code != "container-rule-invalid" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTheOwnerIsWhatTheControllersLabelsSayAndTheNameConfirms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pod    string
		labels map[string]string
		want   string
	}{
		{"web-7d4b9c-x2x4z", map[string]string{"pod-template-hash": "7d4b9c"}, "Deployment/web"},
		{"web-7d4b9c-x2x4z", map[string]string{"pod-template-hash": "other"}, "Pod/web-7d4b9c-x2x4z"},
		{"db-0", map[string]string{"statefulset.kubernetes.io/pod-name": "db-0", "controller-revision-hash": "db-1"}, "StatefulSet/db"},
		{"log-abcde", map[string]string{"controller-revision-hash": "6f", "pod-template-generation": "1"}, "DaemonSet/log"},
		{"once-h8s7d", map[string]string{"batch.kubernetes.io/job-name": "once"}, "Job/once"},
		{"other-h8s7d", map[string]string{"job-name": "once"}, "Pod/other-h8s7d"},
		{"bare", nil, "Pod/bare"},
	}
	for _, test := range tests {
		w := owner(test.pod, test.labels)
		if got := w.Kind + "/" + w.Name; got != test.want {
			t.Errorf("%s %v: %s, want %s", test.pod, test.labels, got, test.want)
		}
	}
}

// storage writes what podman would keep about one container of an image with two layers.
func storage(t *testing.T) Podman {
	t.Helper()
	p := Podman{Root: t.TempDir()}
	write := func(name string, v any) {
		t.Helper()
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(p.Root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.Root, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("overlay-containers/containers.json", []storedContainer{{ID: id2, Names: []string{"old"}, Image: "gone", Layer: "l9"}})
	write("overlay-containers/volatile-containers.json", []storedContainer{
		{ID: id1, Names: []string{"web"}, Image: "img", Layer: "l3", Metadata: `{"image-name":"acme/web:1"}`}})
	write("overlay-images/images.json", []storedImage{{ID: "img", Digest: string(d("manifest")), Layer: "l2"}})
	write("overlay-layers/layers.json", []storedLayer{
		{ID: "l1", Diff: string(d("one"))}, {ID: "l2", Parent: "l1", Diff: string(d("two"))}, {ID: "l3", Parent: "l2"}})
	for id, link := range map[string]string{"l1": "LINK1", "l2": "LINK2"} {
		if err := os.MkdirAll(filepath.Join(p.Root, "overlay", id), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.Root, "overlay", id, "link"), []byte(link), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestPodmansListsSayImageAndLayers(t *testing.T) {
	t.Parallel()
	p := storage(t)
	c, err := p.Find(context.Background(), Ref{Cgroup: "/libpod_parent/libpod-" + id1, ID: id1})
	if err != nil {
		t.Fatal(err)
	}
	if c.Image != d("manifest") || c.Name != "web" || c.Reference != "acme/web:1" || len(c.Gaps) != 0 {
		t.Errorf("got %+v", c)
	}
	if want := []digest.Digest{d("one"), d("two")}; !slices.Equal(c.DiffIDs, want) {
		t.Errorf("layers %v, want %v", c.DiffIDs, want)
	}
	if c.Lower["LINK2"] != d("two") || c.Lower["l1"] != d("one") {
		t.Errorf("lower folders %v", c.Lower)
	}
}

func TestAnImageThatWasRemovedIsAGap(t *testing.T) {
	t.Parallel()
	c, err := storage(t).Find(context.Background(), Ref{ID: id2})
	if err != nil || len(c.Gaps) != 1 || c.Image != "" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestPodmansBrokenListsAreErrorsAndNotUnknownContainers(t *testing.T) {
	t.Parallel()
	p := storage(t)
	if _, err := p.Find(context.Background(), Ref{ID: strings.Repeat("3c", 32)}); err != ErrUnknown {
		t.Errorf("a container that is not there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(p.Root, "overlay-layers", "layers.json"), []byte(`[{"id":`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Find(context.Background(), Ref{ID: id1}); err == nil || err == ErrUnknown {
		t.Errorf("half a list: %v", err)
	}
	if c, err := (Podman{Root: t.TempDir()}).Find(context.Background(), Ref{ID: id1}); err != ErrUnknown {
		t.Errorf("no podman at all: %v, %v", c, err)
	}
}

func TestLayersThatGoInCirclesEnd(t *testing.T) {
	t.Parallel()
	p := storage(t)
	raw := fmt.Sprintf(`[{"id":"l2","parent":"l2","diff-digest":%q}]`, d("two"))
	if err := os.WriteFile(filepath.Join(p.Root, "overlay-layers", "layers.json"), []byte(raw), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := p.Find(context.Background(), Ref{ID: id1})
	if err != nil || c.DiffIDs != nil || len(c.Gaps) != 1 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestAnImagePulledByDigestIsStillCalledByItsName(t *testing.T) {
	t.Parallel()
	id := "sha256:" + id1
	pinned := "registry.example/acme/shop@sha256:" + strings.Repeat("2b", 32)
	for name, test := range map[string]struct {
		told string
		is   *cri.Image
		want string
	}{
		"by tag":       {"registry.example/acme/shop:1", &cri.Image{RepoDigests: []string{pinned}}, "registry.example/acme/shop:1"},
		"by digest":    {id, &cri.Image{RepoDigests: []string{pinned}}, pinned},
		"by both":      {id, &cri.Image{RepoTags: []string{"registry.example/acme/shop:1"}, RepoDigests: []string{pinned}}, "registry.example/acme/shop:1"},
		"by no name":   {id, &cri.Image{}, id},
		"told by none": {"", &cri.Image{RepoDigests: []string{pinned}}, pinned},
	} {
		if got := nameOf(test.told, test.is); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
