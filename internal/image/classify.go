package image

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

// kind is what a path promises about its file, before a byte of it is read.
type kind uint8

const (
	plain kind = iota
	source
	library
	osRelease
	dpkgStatus
	dpkgStatusD
	apkInstalled
	chiselManifest
	packageJSON
	pythonMetadata
	rpmDatabase
)

// fixed are the files with one place in a distribution.
var fixed = map[string]kind{
	"etc/os-release":                    osRelease,
	"usr/lib/os-release":                osRelease,
	"var/lib/dpkg/status":               dpkgStatus,
	"lib/apk/db/installed":              apkInstalled,
	"usr/lib/apk/db/installed":          apkInstalled,
	"var/lib/chisel/manifest.wall":      chiselManifest,
	"var/lib/rpm/rpmdb.sqlite":          rpmDatabase,
	"var/lib/rpm/Packages.db":           rpmDatabase,
	"var/lib/rpm/Packages":              rpmDatabase,
	"usr/lib/sysimage/rpm/rpmdb.sqlite": rpmDatabase,
	"usr/lib/sysimage/rpm/Packages.db":  rpmDatabase,
}

// classify says what the file at p (clean, relative) is by its name.
func classify(p string) kind {
	if k, ok := fixed[p]; ok {
		return k
	}
	dir, base := path.Split(p)
	switch {
	case base == "package.json" && isPackageRoot(dir):
		return packageJSON
	case base == "METADATA" && strings.HasSuffix(dir, ".dist-info/"),
		base == "PKG-INFO" && strings.HasSuffix(dir, ".egg-info/"),
		strings.HasSuffix(base, ".egg-info"):
		return pythonMetadata
	case dir == dpkgStatusDir && !strings.HasSuffix(base, ".md5sums"):
		return dpkgStatusD
	case evidence.IsSource(base):
		return source
	case evidence.IsLibrary(base):
		return library
	}
	return plain
}

// classifyTop knows the manifest of a package tarball, which is in its only top folder
// ("package/package.json", "demo-1.0/PKG-INFO"), or of a package's folder.
func classifyTop(p string) kind {
	dir, base := path.Split(p)
	switch {
	case strings.Count(dir, "/") > 1:
	case base == "package.json":
		return packageJSON
	case base == "PKG-INFO":
		return pythonMetadata
	}
	return plain
}

const dpkgStatusDir = "var/lib/dpkg/status.d/"

// isPackageRoot reports whether dir (with its trailing slash) is node_modules/<name>/ or
// node_modules/@scope/<name>/: package.json files deeper inside a package are its own business.
func isPackageRoot(dir string) bool {
	parent, _ := path.Split(strings.TrimSuffix(dir, "/"))
	scope, isScoped := strings.CutSuffix(parent, "/")
	if above, name := path.Split(scope); isScoped && strings.HasPrefix(name, "@") {
		parent = above
	}
	return parent == "node_modules/" || strings.HasSuffix(parent, "/node_modules/")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func unique(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}
