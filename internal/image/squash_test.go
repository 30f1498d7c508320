package image

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
)

// lines shows an image as a person would check it.
func lines(im *Image) string {
	var out []string
	for _, c := range im.Components {
		line := fmt.Sprintf("%d %s", c.Layer, c.PURL)
		if c.UpgradedFrom != "" {
			line += " from " + string(c.UpgradedFrom)
		}
		out = append(out, line)
	}
	for _, h := range im.Hidden {
		out = append(out, fmt.Sprintf("hidden %d %s", h.Position, h.PURL))
	}
	return strings.Join(out, "\n")
}

func TestSquash(t *testing.T) {
	t.Parallel()
	dpkg := func(packages ...string) member { return file("var/lib/dpkg/status", status(packages...)) }
	npm := func(name, version string) member {
		return file("app/node_modules/"+name+"/package.json", manifestOf(name, version))
	}
	dist := func(name, version string) member {
		return file("lib/"+name+"-"+version+".dist-info/METADATA", "Name: "+name+"\nVersion: "+version+"\n")
	}
	tests := map[string]struct {
		layers [][]member
		want   []string
	}{
		"a snapshot does not move what was there": {
			[][]member{{dpkg("a 1")}, {dpkg("a 1", "b 1")}, {dpkg("a 1", "b 1", "c 1")}},
			[]string{"0 pkg:deb/debian/a@1?arch=amd64", "1 pkg:deb/debian/b@1?arch=amd64", "2 pkg:deb/debian/c@1?arch=amd64"},
		},
		"an upgrade belongs to the layer that made it, also in later snapshots": {
			[][]member{{dpkg("a 1")}, {dpkg("a 2")}, {dpkg("a 2", "b 1")}},
			[]string{"1 pkg:deb/debian/a@2?arch=amd64 from pkg:deb/debian/a@1?arch=amd64", "2 pkg:deb/debian/b@1?arch=amd64", "hidden 0 pkg:deb/debian/a@1?arch=amd64"},
		},
		"a downgrade and a return count from the last change": {
			[][]member{{dpkg("a 1")}, {dpkg("a 2")}, {dpkg("a 1")}},
			[]string{"2 pkg:deb/debian/a@1?arch=amd64 from pkg:deb/debian/a@2?arch=amd64", "hidden 1 pkg:deb/debian/a@2?arch=amd64"},
		},
		"removed and installed again counts from then": {
			[][]member{{dpkg("a 1")}, {dpkg()}, {dpkg("a 1")}},
			[]string{"2 pkg:deb/debian/a@1?arch=amd64"},
		},
		"two architectures of one package stand side by side": {
			[][]member{{dpkg("a 1 amd64")}, {dpkg("a 1 amd64", "a 1 i386")}},
			[]string{"0 pkg:deb/debian/a@1?arch=amd64", "1 pkg:deb/debian/a@1?arch=i386"},
		},
		"a database that is deleted takes its packages along": {
			[][]member{{dpkg("a 1")}, {file("var/lib/dpkg/.wh.status", "")}},
			[]string{"hidden 0 pkg:deb/debian/a@1?arch=amd64"},
		},
		"a folder above that is deleted, likewise": {
			[][]member{{dpkg("a 1"), npm("x", "1.0.0")}, {file("var/.wh.lib", "")}},
			[]string{"0 pkg:npm/x@1.0.0", "hidden 0 pkg:deb/debian/a@1?arch=amd64"},
		},
		"an opaque folder hides what is below and not what comes with it": {
			[][]member{{npm("x", "1.0.0"), npm("y", "1.0.0")}, {file("app/node_modules/.wh..wh..opq", ""), npm("y", "1.0.0"), npm("z", "1.0.0")}},
			[]string{"0 pkg:npm/y@1.0.0", "1 pkg:npm/z@1.0.0", "hidden 0 pkg:npm/x@1.0.0"},
		},
		"an opaque root hides everything": {
			[][]member{{npm("x", "1.0.0")}, {file(".wh..wh..opq", "")}},
			[]string{"hidden 0 pkg:npm/x@1.0.0"},
		},
		"a whiteout of a similar name hides nothing": {
			[][]member{{npm("x", "1.0.0")}, {file("app/node_modules/.wh.xy", ""), file("app/.wh.node", "")}},
			[]string{"0 pkg:npm/x@1.0.0"},
		},
		"another version in the same place is an upgrade": {
			[][]member{{npm("x", "1.0.0")}, {npm("x", "2.0.0")}},
			[]string{"1 pkg:npm/x@2.0.0 from pkg:npm/x@1.0.0", "hidden 0 pkg:npm/x@1.0.0"},
		},
		"Python metadata moves with its version": {
			[][]member{{dist("x", "1")}, {file("lib/.wh.x-1.dist-info", ""), dist("x", "2")}},
			[]string{"1 pkg:pypi/x@2 from pkg:pypi/x@1", "hidden 0 pkg:pypi/x@1"},
		},
		"a component that is still elsewhere is not hidden": {
			[][]member{{npm("x", "1.0.0"), file("b/node_modules/x/package.json", manifestOf("x", "1.0.0"))}, {file("b/.wh.node_modules", "")}},
			[]string{"0 pkg:npm/x@1.0.0"},
		},
		"a binary that is replaced by another declares nothing any more": {
			[][]member{{executable("bin/x", "\x7fELF"+strings.Repeat("\x00", 12)+record("go1.22.1", ""))}, {executable("bin/x", "#!/bin/sh")}},
			[]string{"hidden 0 pkg:golang/stdlib@1.22.1", "hidden 0 pkg:golang/x@v1.0.0"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var layers []Layer
			for _, members := range tt.layers {
				layers = append(layers, Layer{Inventory: layerOf(t, members...)})
			}
			if got, want := lines(Squash(layers)), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("image:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestAComponentNamesItsInstruction(t *testing.T) {
	t.Parallel()
	inv := layerOf(t, file("node_modules/x/package.json", manifestOf("x", "1.0.0")))
	im := Squash([]Layer{{layerOf(t), "FROM"}, {inv, "RUN npm ci"}, {nil, "COPY"}})
	c := im.Components[0]
	if c.Layer != 1 || c.CreatedBy != "RUN npm ci" || c.DiffID != inv.DiffID {
		t.Errorf("component = %+v", c)
	}
	if strings.Join(im.Incomplete, "") != "the layer was not read" {
		t.Errorf("incomplete = %q", im.Incomplete)
	}
}

func TestFamily(t *testing.T) {
	t.Parallel()
	dpkg := file("var/lib/dpkg/status", status("a 1"))
	tests := map[Family][]member{
		Scratch:    {executable("app", "\x7fELF")},
		"debian":   {file("etc/os-release", "ID=debian\n"), dpkg},
		"alpine":   {file("etc/os-release", "ID=alpine\n"), file("lib/apk/db/installed", "P:a\nV:1\n")},
		"wolfi":    {file("etc/os-release", "ID=wolfi\n")},
		UBI:        {file("etc/os-release", "ID=\"rhel\"\n"), file("var/lib/rpm/rpmdb.sqlite", "x")},
		Distroless: {file("etc/os-release", "ID=debian\n"), file("var/lib/dpkg/status.d/a", "Package: a\nVersion: 1\n")},
		Chiselled:  {file("etc/os-release", "ID=ubuntu\n"), file("var/lib/chisel/manifest.wall", "x")},
		Unknown:    {dpkg},
	}
	for want, members := range tests {
		if got := Squash([]Layer{{Inventory: layerOf(t, members...)}}).Family; got != want {
			t.Errorf("family = %q, want %q", got, want)
		}
	}
}

func TestSquashDoesNotChangeItsInput(t *testing.T) {
	t.Parallel()
	inv := layerOf(t, file("var/lib/dpkg/status", status("a 1", "b 1")), file("node_modules/x/package.json", manifestOf("x", "1.0.0")))
	before := fmt.Sprintf("%+v", *inv)
	Squash([]Layer{{Inventory: inv}, {Inventory: &evidence.Inventory{Opaque: []string{"."}}}})
	if after := fmt.Sprintf("%+v", *inv); after != before {
		t.Errorf("inventory changed:\n%s\n%s", before, after)
	}
}
