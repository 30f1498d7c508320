package workload_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/admission/workload"
	"github.com/hullmark/hullmark/internal/fault"
)

// spec has one image in each of the four roles.
const spec = `{"initContainers":[{"name":"i","image":"i:1"}],"containers":[{"name":"c","image":"c:1"}],
	"ephemeralContainers":[{"name":"e","image":"e:1"}],"volumes":[{"name":"none","emptyDir":{}},{"name":"v","image":{"reference":"v:1"}}]}`

func TestEveryKindTellsAllOfItsImages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind    workload.Kind
		object  string
		pointer string
	}{
		{workload.Kind{Kind: "Pod"}, `{"spec":%s}`, "/spec"},
		{workload.Kind{Kind: "PodTemplate"}, `{"template":{"spec":%s}}`, "/template/spec"},
		{workload.Kind{Kind: "ReplicationController"}, `{"spec":{"template":{"spec":%s}}}`, "/spec/template/spec"},
		{workload.Kind{Group: "apps", Kind: "ReplicaSet"}, `{"spec":{"template":{"spec":%s}}}`, "/spec/template/spec"},
		{workload.Kind{Group: "apps", Kind: "Deployment"}, `{"spec":{"template":{"spec":%s}}}`, "/spec/template/spec"},
		{workload.Kind{Group: "apps", Kind: "StatefulSet"}, `{"spec":{"template":{"spec":%s}}}`, "/spec/template/spec"},
		{workload.Kind{Group: "apps", Kind: "DaemonSet"}, `{"spec":{"template":{"spec":%s}}}`, "/spec/template/spec"},
		{workload.Kind{Group: "batch", Kind: "Job"}, `{"spec":{"template":{"spec":%s}}}`, "/spec/template/spec"},
		{workload.Kind{Group: "batch", Kind: "CronJob"}, `{"spec":{"jobTemplate":{"spec":{"template":{"spec":%s}}}}}`, "/spec/jobTemplate/spec/template/spec"},
		{workload.Kind{Group: "argoproj.io", Kind: "Rollout"}, `{"spec":{"template":{"spec":%s}}}`, "/spec/template/spec"},
		{workload.Kind{Group: "example.com", Kind: "Train/ing"}, `{"spec":{"replicaSpecs":{"a/b":{"template":{"spec":%s}}}}}`, "/spec/replicaSpecs/a~1b/template/spec"},
		{workload.Kind{Group: "example.com", Kind: "Many"}, `{"spec":{"pods":[{},{"podSpec":%s}]}}`, "/spec/pods/1/podSpec"},
	} {
		t.Run(c.kind.Kind, func(t *testing.T) {
			t.Parallel()
			o, err := workload.Read(c.kind, fmt.Appendf(nil, c.object, spec))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, img := range o.Images {
				got = append(got, img.Role+" "+img.Container+" "+img.Reference+" "+strings.TrimPrefix(img.Pointer, c.pointer))
			}
			want := []string{
				"init i i:1 /initContainers/0/image", "container c c:1 /containers/0/image",
				"ephemeral e e:1 /ephemeralContainers/0/image", "volume v v:1 /volumes/1/image/reference",
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestFieldsAreNamedExactly(t *testing.T) {
	t.Parallel()
	raw := `{"spec":{"containers":[{"name":"c","image":"real:1","Image":"other:1","IMAGE":"third:1"}]}}`
	for _, kind := range []workload.Kind{{Kind: "Pod"}, {Group: "example.com", Kind: "Thing"}} {
		o, err := workload.Read(kind, []byte(raw))
		if err != nil || len(o.Images) != 1 || o.Images[0].Reference != "real:1" {
			t.Errorf("%s: %+v, %v", kind.Kind, o, err)
		}
	}
}

func TestOtherListsOfContainersAreNoPods(t *testing.T) {
	t.Parallel()
	raw := `{"metadata":{"annotations":{"containers":"x"}},"spec":{"containers":[{"name":"shelf"}],"initContainers":"no"},
		"status":{"containers":[{"name":"old","image":"old:1"}]}}`
	o, err := workload.Read(workload.Kind{Group: "example.com", Kind: "Warehouse"}, []byte(raw))
	if err != nil || len(o.Images) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 200) + `{"containers":[{"image":"x"}]}` + strings.Repeat("}", 200)
	for name, c := range map[string]struct {
		kind workload.Kind
		raw  string
	}{
		"no JSON":                {workload.Kind{Kind: "Pod"}, `{"spec":`},
		"nothing":                {workload.Kind{Kind: "Pod"}, ``},
		"an image that is a map": {workload.Kind{Kind: "Pod"}, `{"spec":{"containers":[{"image":{}}]}}`},
		"a list for an object":   {workload.Kind{Group: "example.com", Kind: "Thing"}, `[]`},
		"a pod too deep":         {workload.Kind{Group: "example.com", Kind: "Thing"}, deep},
	} {
		if _, err := workload.Read(c.kind, []byte(c.raw)); err == nil || fault.As(err).Code != "object-malformed" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAReferenceIsReadAsTheRuntimeReadsIt(t *testing.T) {
	t.Parallel()
	const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for reference, want := range map[string]string{
		"nginx":                                 "docker.io library/nginx latest - false",
		"nginx:1.27":                            "docker.io library/nginx 1.27 - false",
		"docker.io/nginx":                       "docker.io library/nginx latest - false",
		"index.docker.io/library/nginx":         "docker.io library/nginx latest - false",
		"acme/shop":                             "docker.io acme/shop latest - false",
		"localhost/shop:2":                      "localhost shop 2 - false",
		"127.0.0.1:4873/acme/shop:1":            "127.0.0.1:4873 acme/shop 1 - false",
		"r.example.com/a/b/c@sha256:" + hex:     "r.example.com a/b/c  sha256:" + hex + " true",
		"r.example.com/a:5@sha256:" + hex:       "r.example.com a 5 sha256:" + hex + " true",
		"r.example.com:5000/a@sha256:" + hex:    "r.example.com:5000 a  sha256:" + hex + " true",
		"registry.k8s.io/pause:3.10":            "registry.k8s.io pause 3.10 - false",
		"r.example.com/a--b/c__d.e:v1.0-rc_1.x": "r.example.com a--b/c__d.e v1.0-rc_1.x - false",
	} {
		img, err := workload.ParseReference(reference)
		digest := img.Digest
		if digest == "" {
			digest = "-"
		}
		if got := fmt.Sprintf("%s %s %s %s %t", img.Registry, img.Repository, img.Tag, digest, img.Pinned); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", reference, got, err, want)
		}
	}
}

func TestAnOddReferenceIsAFailureThatNamesIt(t *testing.T) {
	t.Parallel()
	const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, reference := range []string{
		"", " ", "nginx ", " nginx", "Nginx", "acme/Shop", "a//b", "/a", "a/", "a:", "a@", "a@sha256:", "a@sha256:abc", "a@md5:d41d8cd98f00b204e9800998ecf8427e",
		"https://r.example.com/a", "a:tag:tag", "a:-x", "sha256:" + hex, hex, "a\nb", "a\x00b", "ａcme/shop", "r.example.com/a@sha256:" + strings.ToUpper(hex),
		"r.example.com/" + strings.Repeat("a", 300), strings.Repeat("x/", 400), "a@sha256:" + hex + "@sha256:" + hex, "../a", "a:" + strings.Repeat("1", 129),
	} {
		img, err := workload.ParseReference(reference)
		if err == nil || fault.As(err).Code != "image-reference-invalid" || img.Repository != "" {
			t.Errorf("%q is taken for %+v, %v", reference, img, err)
		}
	}
	o, err := workload.Read(workload.Kind{Kind: "Pod"}, []byte(`{"spec":{"containers":[{"name":"c","image":"NO"},{"name":"d"}]}}`))
	if err != nil || len(o.Images) != 2 || o.Images[0].Err == nil || o.Images[1].Err == nil {
		t.Errorf("an image that cannot be read is left out: %+v, %v", o, err)
	}
}

func TestTheOwnerIsTheDeploymentWhereTheHashSaysSo(t *testing.T) {
	t.Parallel()
	for object, want := range map[string]string{
		`{"metadata":{"name":"p"}}`:                                                                          "Pod p",
		`{"metadata":{"generateName":"p-"}}`:                                                                 "Pod p",
		`{"metadata":{"name":"p","ownerReferences":[{"kind":"Node","name":"n"}]}}`:                           "Pod p",
		`{"metadata":{"name":"p","ownerReferences":[{"kind":"StatefulSet","name":"db","controller":true}]}}`: "StatefulSet db",
		`{"metadata":{"name":"p","ownerReferences":[{"kind":"ReplicaSet","name":"rs","controller":true}]}}`:  "ReplicaSet rs",
		`{"metadata":{"generateName":"web-5d4-","labels":{"pod-template-hash":"5d4"},"ownerReferences":[{"kind":"ReplicaSet","name":"web-5d4","controller":true}]}}`: "Deployment web",
		`{"metadata":{"name":"p","labels":{"pod-template-hash":"5d4"},"ownerReferences":[{"kind":"ReplicaSet","name":"-5d4","controller":true}]}}`:                   "ReplicaSet -5d4",
	} {
		o, err := workload.Read(workload.Kind{Kind: "Pod"}, []byte(object))
		if err != nil {
			t.Fatal(err)
		}
		if kind, name := o.Workload(); kind+" "+name != want {
			t.Errorf("%s belongs to %s %s, want %s", object, kind, name, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, kind := range []string{"Pod", "PodTemplate", "Thing"} {
		f.Add(kind, []byte(`{"metadata":{"name":"x"},"spec":`+spec+`}`))
		f.Add(kind, []byte(`{"template":{"spec":`+spec+`}}`))
	}
	f.Add("CronJob", []byte(`{"spec":{"jobTemplate":{"spec":{"template":{"spec":`+spec+`}}}}}`))
	f.Fuzz(func(t *testing.T, kind string, raw []byte) {
		o, err := workload.Read(workload.Kind{Kind: kind}, raw)
		if err != nil {
			if fault.As(err).Code != "object-malformed" {
				t.Errorf("unexpected error %v", err)
			}
			return
		}
		for _, img := range o.Images {
			if !strings.HasPrefix(img.Pointer, "/") || (img.Err == nil) != (img.Repository != "") {
				t.Errorf("image %+v", img)
			}
		}
	})
}
