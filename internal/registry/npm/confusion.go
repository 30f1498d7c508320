package npm

import (
	"maps"
	"reflect"
	"slices"

	"github.com/hullmark/hullmark/internal/fault"
)

// reconcile compares what a client says of a version with what the tarball's package.json says,
// and returns the latter with what npm's client adds to it: the view that is served. Any contradiction is
// manifest-confusion: a client decides by the manifest what it installs and by the tarball what it
// runs, and whoever reviews the one would not see the other.
func reconcile(sent view, in *inside) (view, error) {
	packed, err := newView(in.manifest)
	if err != nil {
		return view{}, err
	}
	served := packed
	served.scripts = in.implied(packed.scripts)
	if _, declared := in.manifest["bin"]; !declared {
		served.bin = in.binFolder()
	}
	for _, c := range []struct {
		field string
		same  bool
	}{
		{"name", sent.name == packed.name},
		{"version", sent.version == packed.version},
		// Clients other than npm send the scripts and commands without the implied ones.
		{"scripts", maps.Equal(sent.scripts, packed.scripts) || maps.Equal(sent.scripts, served.scripts)},
		{"bin", maps.Equal(sent.bin, packed.bin) || maps.Equal(sent.bin, served.bin)},
		{"bundleDependencies", slices.Equal(sent.bundled, packed.bundled)},
	} {
		if !c.same {
			return view{}, confusion(c.field)
		}
	}
	for _, kind := range depKinds {
		if !sameDeps(sent.deps[kind], packed.deps[kind]) && !leftOut(kind, sent) {
			return view{}, confusion(kind)
		}
	}
	for _, field := range plainFields {
		if !reflect.DeepEqual(sent.plain[field], packed.plain[field]) {
			return view{}, confusion(field)
		}
	}
	return served, nil
}

// leftOut allows clients that do not send what nobody who installs the package needs.
func leftOut(kind string, sent view) bool {
	return kind == "devDependencies" && len(sent.deps[kind]) == 0
}

func sameDeps(a, b map[string]string) bool {
	return maps.EqualFunc(a, b, func(x, y string) bool { return x == y || gitReference(x) == gitReference(y) })
}

func confusion(field string) error {
	return fault.New(fault.Integrity, "manifest-confusion",
		"%q in the published manifest is not what the package.json in the tarball says; publish both from one folder with npm publish", field)
}
