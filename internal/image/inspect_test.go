package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

// dockerArchive packs layers as docker save does.
func dockerArchive(t testing.TB, layers ...[]byte) []byte {
	t.Helper()
	config := configOf(t, layers...)
	im := dockerImage{Config: digest.FromBytes(config).Hex() + ".json", RepoTags: []string{"demo:1"}}
	members := []member{file(im.Config, string(config))}
	for i, l := range layers {
		name := fmt.Sprintf("%d/layer.tar", i)
		im.Layers = append(im.Layers, name)
		members = append(members, file(name, string(l)))
	}
	list, err := json.Marshal([]dockerImage{im})
	if err != nil {
		t.Fatal(err)
	}
	return tarball(t, append(members, file("manifest.json", string(list)))...)
}

// ociLayout is the files of an OCI layout with gzip layers, by path.
func ociLayout(t testing.TB, layers ...[]byte) map[string]string {
	t.Helper()
	files := map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}
	blob := func(b []byte) descriptor {
		d := digest.FromBytes(b)
		files[blobPath(d)] = string(b)
		return descriptor{Digest: d}
	}
	document := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	m := manifest{Config: blob(configOf(t, layers...))}
	for _, l := range layers {
		m.Layers = append(m.Layers, blob(gzipped(t, l)))
	}
	image := blob(document(m))
	image.Annotations = map[string]string{refName: "1.0"}
	nested := blob(document(manifest{Manifests: []descriptor{image}}))
	files["index.json"] = string(document(manifest{Manifests: []descriptor{nested}}))
	return files
}

func membersOf(files map[string]string) []member {
	var out []member
	for _, name := range sortedKeys(files) {
		out = append(out, file(name, files[name]))
	}
	return out
}

// write puts files into a new folder and returns it.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writeFile(t testing.TB, raw []byte) string {
	t.Helper()
	return filepath.Join(write(t, map[string]string{"x": string(raw)}), "x")
}

// demoLayers are a base and an upgrade.
func demoLayers(t testing.TB) [][]byte {
	return [][]byte{
		tarball(t, file("etc/os-release", "ID=debian\nVERSION_ID=12\n"), file("var/lib/dpkg/status", status("a 1", "b 1"))),
		tarball(t, file("var/lib/dpkg/status", status("a 2", "b 1")), executable("bin/x", "#!/bin/sh\n")),
	}
}

func TestAnImageReadsTheSameFromEverySource(t *testing.T) {
	t.Parallel()
	layers := demoLayers(t)
	layout := ociLayout(t, layers...)
	tests := map[string]struct {
		path string
		kind SourceKind
	}{
		"docker archive":             {writeFile(t, dockerArchive(t, layers...)), DockerArchive},
		"docker archive, compressed": {writeFile(t, gzipped(t, dockerArchive(t, layers...))), DockerArchive},
		"OCI layout":                 {write(t, layout), OCILayout},
		"OCI archive":                {writeFile(t, tarball(t, membersOf(layout)...)), OCIArchive},
	}
	const want = "1 pkg:deb/debian/a@2?arch=amd64 from pkg:deb/debian/a@1?arch=amd64\n0 pkg:deb/debian/b@1?arch=amd64\nhidden 0 pkg:deb/debian/a@1?arch=amd64"
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Inspect(t.Context(), tt.path)
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != tt.kind || r.Platform != "linux/amd64" || r.Family != "debian" || len(r.Names) != 1 {
				t.Errorf("report = %+v", r)
			}
			if got := lines(r.Image); got != want {
				t.Errorf("image:\n%s\nwant:\n%s", got, want)
			}
			if l := r.Layers[1]; l.DiffID != digest.FromBytes(layers[1]) || l.CreatedBy != "RUN step 1" || l.Components != 2 || l.Files != 1 {
				t.Errorf("layer = %+v", l)
			}
			if r.Config != digest.FromBytes(configOf(t, layers...)) {
				t.Errorf("config = %s", r.Config)
			}
		})
	}
}

func TestAPackageTarballIsIndexedWhole(t *testing.T) {
	t.Parallel()
	raw := tarball(t, file("package/package.json", manifestOf("@acme/ui", "1.2.3")), file("package/README.md", "hi"), file("package/empty", ""))
	r, err := Inspect(t.Context(), writeFile(t, gzipped(t, raw)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Kind != Tarball || lines(r.Image) != "0 pkg:npm/%40acme/ui@1.2.3" || r.Layers[0].Files != 3 || r.Family != "" {
		t.Errorf("report = %+v\n%s", r, lines(r.Image))
	}
	want := digest.FromBytes([]byte(manifestOf("@acme/ui", "1.2.3")))
	if f := r.Layers[0].Inventory.Files[2]; f.Path != "package/package.json" || f.SHA256 != want {
		t.Errorf("file = %+v, want sha256 %s", f, want)
	}
}

func TestInspectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	layers := demoLayers(t)
	for _, path := range []string{writeFile(t, dockerArchive(t, layers...)), write(t, ociLayout(t, layers...)), write(t, map[string]string{"a.js": "1"})} {
		if _, err := Inspect(ctx, path); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
	}
}

func TestAFolderIsReadInPlace(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"package.json": manifestOf("app", "0.1.0"), "node_modules/x/package.json": manifestOf("x", "1.0.0"), "node_modules/x/index.js": "1",
	})
	outside := write(t, map[string]string{"secret.js": "1"})
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	r, err := Inspect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(r.Image); got != "0 pkg:npm/x@1.0.0\n0 pkg:npm/app@0.1.0" {
		t.Errorf("image:\n%s", got)
	}
	if l := r.Layers[0]; l.Files != 1 || l.Incomplete != "" {
		t.Errorf("layer = %+v", l)
	}
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	layers := demoLayers(t)
	change := func(edit func(map[string]string)) string {
		files := ociLayout(t, layers...)
		edit(files)
		return write(t, files)
	}
	docker := func(im dockerImage, more ...member) string {
		list, err := json.Marshal([]dockerImage{im})
		if err != nil {
			t.Fatal(err)
		}
		return writeFile(t, tarball(t, append(more, file("manifest.json", string(list)))...))
	}
	config := configOf(t, layers...)
	tests := map[string]struct{ path, code string }{
		"nothing there":       {filepath.Join(t.TempDir(), "none"), "source-unknown"},
		"a text":              {writeFile(t, []byte(strings.Repeat("text ", 500))), "source-unknown"},
		"an empty file":       {writeFile(t, nil), "source-unknown"},
		"a config that lies":  {change(func(f map[string]string) { f[blobPath(digest.FromBytes(config))] += " " }), "image-digest-mismatch"},
		"a lost config":       {change(func(f map[string]string) { delete(f, blobPath(digest.FromBytes(config))) }), "image-incomplete"},
		"a lost layer":        {change(func(f map[string]string) { delete(f, blobPath(digest.FromBytes(gzipped(t, layers[0])))) }), "image-incomplete"},
		"an index of nothing": {change(func(f map[string]string) { f["index.json"] = "{}" }), "image-manifest-malformed"},
		"a digest that leads elsewhere": {change(func(f map[string]string) {
			f["index.json"] = `{"manifests":[{"digest":"sha256:../../../etc/passwd"}]}`
		}), "image-manifest-malformed"},
		"a docker layer that is not there": {docker(dockerImage{Config: "c", Layers: []string{"1", "../2"}}, file("c", string(config))), "image-incomplete"},
		"fewer layers than configured":     {docker(dockerImage{Config: "c", Layers: []string{"1"}}, file("c", string(config))), "image-config-malformed"},
		"a config that is text":            {docker(dockerImage{Config: "c"}, file("c", "text")), "image-config-malformed"},
		"a link to itself":                 {docker(dockerImage{Config: "c"}, link("c", "c")), "image-incomplete"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Inspect(t.Context(), tt.path); err == nil || fault.As(err).Code != tt.code {
				t.Errorf("err = %v, want code %s", err, tt.code)
			}
		})
	}
}

func TestInstructions(t *testing.T) {
	t.Parallel()
	config := func(layers int, history string) []byte {
		ids := make([]string, layers)
		for i := range ids {
			ids[i] = `"` + string(digest.FromBytes([]byte{byte(i)})) + `"`
		}
		return []byte(`{"rootfs":{"diff_ids":[` + strings.Join(ids, ",") + `]},"history":[` + history + `]}`)
	}
	tests := map[string]struct {
		layers  int
		history string
		want    []string
	}{
		"empty layers have none": {2, `{"created_by":"ADD a /"},{"created_by":"ENV a=b","empty_layer":true},{"created_by":"RUN b # buildkit"}`, []string{"ADD a /", "RUN b"}},
		"the classic builder":    {2, `{"created_by":"/bin/sh -c #(nop)  ADD file:x in / "},{"created_by":"/bin/sh -c apt-get update"}`, []string{"ADD file:x in /", "RUN apt-get update"}},
		"no history":             {1, ``, []string{""}},
		"too long a history":     {1, `{"created_by":"a"},{"created_by":"b"}`, []string{""}},
		"too short a history":    {2, `{"created_by":"a"}`, []string{"", ""}},
	}
	for name, tt := range tests {
		c, err := ParseConfig(config(tt.layers, tt.history))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Instructions(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if got, err := ParseConfig([]byte("text")); err == nil {
		t.Errorf("a text is a configuration: %+v", got)
	}
}
