package npm

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/hullmark/hullmark/internal/evidence"
)

// hooks returns what npm runs when somebody installs the version, in the order of its names: the
// install scripts, those that they start with "npm run", and node-gyp for a binding.gyp.
//
// "prepare" is not among them: it runs for dependencies from git and in one's own checkout, never for
// a package from a registry. Source: npm docs, "scripts", "Life Cycle Operation Order".
func (in *inside) hooks(scripts map[string]string) []evidence.InstallHook {
	scripts = in.implied(scripts)
	running := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		if scripts[name] == "" || running[name] {
			return
		}
		running[name] = true
		for _, started := range startedBy(scripts[name]) {
			for _, one := range []string{"pre" + started, started, "post" + started} {
				follow(one)
			}
		}
	}
	for _, name := range installScripts {
		follow(name)
	}
	packed := make(map[string]bool, len(in.files))
	for _, file := range in.files {
		packed[file] = true
	}
	var out []evidence.InstallHook
	for _, name := range slices.Sorted(maps.Keys(running)) {
		out = append(out, evidence.InstallHook{Name: name, Command: scripts[name], Files: in.filesIn(scripts[name], packed)})
	}
	return slices.Concat(out, in.bundledHooks, in.moreHook())
}

// runners are the programs that start a script of package.json by its name.
var runners = []string{"npm", "npx", "pnpm", "yarn", "bun", "run-s", "run-p", "npm-run-all", "--run"}

// startedBy returns the words of a command that may be names of scripts; none when it does not call a
// runner. A word too many costs somebody a look, one too few would hide a script.
func startedBy(command string) []string {
	all := words(command)
	if !slices.ContainsFunc(all, func(w string) bool { return slices.Contains(runners, w) }) {
		return nil
	}
	return all
}

// words splits a command at whatever ends a word in a shell.
func words(command string) []string {
	return strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(" \t\r\n;&|()<>\"'`$={},", r) })
}

// scriptEndings are what Node adds to a name that is no file. Source: Node.js docs, "modules", "All
// together".
var scriptEndings = []string{"", ".js", ".cjs", ".mjs", ".json", ".node", "/index.js", "/index.cjs", "/index.mjs", "/index.json"}

// filesIn returns those of the packed files that a command names, as the inventory spells them.
func (in *inside) filesIn(command string, packed map[string]bool) []string {
	seen := map[string]bool{}
	for _, word := range words(command) {
		for _, ending := range scriptEndings {
			if file := rootedPath(word) + ending; packed[file] {
				seen[in.folder+"/"+file] = true
			}
		}
	}
	if strings.Contains(command, "node-gyp") {
		for file := range packed {
			if ext := path.Ext(file); ext == ".gyp" || ext == ".gypi" {
				seen[in.folder+"/"+file] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// compareVersions orders versions by precedence (semver 2.0, 11).
func compareVersions(a, b string) int {
	x, xerr := semver.StrictNewVersion(a)
	y, yerr := semver.StrictNewVersion(b)
	if xerr != nil || yerr != nil {
		return cmp.Compare(a, b)
	}
	return x.Compare(y)
}
