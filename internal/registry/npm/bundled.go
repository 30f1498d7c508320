package npm

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
)

// maxBundledManifest is how much of a bundled package's package.json is read, in bytes. Those that
// registries take are far smaller; one that is larger is told of as it is.
const maxBundledManifest = 256 << 10

const (
	// maxBundledHooks is how many install scripts of bundled packages are told apart; the others count
	// as one, which is another one as soon as anything about them is.
	maxBundledHooks = 1000
	// maxBundledCommand bounds what is kept of one, in bytes; its whole text is in the file that it names.
	maxBundledCommand = 1000
)

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
	if len(in.bundledHooks) < maxBundledHooks {
		command = strings.ToValidUTF8(command[:min(len(command), maxBundledCommand)], "")
		in.bundledHooks = append(in.bundledHooks, evidence.InstallHook{Name: name, Command: command, Files: []string{in.folder + "/" + file}})
		return
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q", in.moreBundled, name, command, file)
	in.moreBundled = digest.Sum(digest.SHA256, sum)
}

// moreHook stands for the bundled hooks that were too many to tell apart.
func (in *inside) moreHook() []evidence.InstallHook {
	if in.moreBundled == "" {
		return nil
	}
	return []evidence.InstallHook{{Name: "node_modules", Command: "(more bundled install scripts, together " + string(in.moreBundled) + ")"}}
}
