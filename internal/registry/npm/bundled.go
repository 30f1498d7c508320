package npm

import (
	"encoding/json"
	"io"
	"path"
	"regexp"

	"github.com/hullmark/hullmark/internal/evidence"
)

// maxBundledManifest is how much of a bundled package's package.json is read, in bytes. Those that
// registries take are far smaller; one that is larger is told of as it is.
const maxBundledManifest = 256 << 10

// bundledPackage is the folder of a bundled package and the file in it, in a path below the top folder.
var bundledPackage = regexp.MustCompile(`^((?:.*/)?node_modules/(?:@[^/]+/)?[^/@][^/]*)/([^/]+)$`)

// seeBundled looks for install scripts in a file of a bundled package: npm runs them like the package's
// own. Source: @npmcli/arborist, rebuild.js.
func (in *inside) seeBundled(file string, content io.Reader) error {
	m := bundledPackage.FindStringSubmatch(file)
	if m == nil {
		return nil
	}
	folder, base := m[1], m[2]
	if path.Ext(base) == ".gyp" {
		in.bundledHook(folder+" install", "node-gyp rebuild", file)
	}
	if base != "package.json" {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(content, maxBundledManifest+1))
	if err != nil {
		return err
	}
	var manifest object
	if len(data) > maxBundledManifest || json.Unmarshal(data, &manifest) != nil {
		in.bundledHook(folder, "(its package.json cannot be read)", file)
		return nil
	}
	scripts := strs(manifest["scripts"])
	for _, name := range installScripts {
		if scripts[name] != "" {
			in.bundledHook(folder+" "+name, scripts[name], file)
		}
	}
	return nil
}

// bundledHook notes a hook. The file that declares it stands for what it runs: the other files of the
// bundled package are in the difference that a reviewer sees.
func (in *inside) bundledHook(name, command, file string) {
	in.bundledHooks = append(in.bundledHooks, evidence.InstallHook{Name: name, Command: command, Files: []string{in.folder + "/" + file}})
}
