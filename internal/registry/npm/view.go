package npm

import (
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// view is the part of a manifest that decides what a client installs and runs, in one spelling for
// everything that npm's client rewrites when it publishes.
// Source: @npmcli/package-json, normalize.js, the steps of "fix" and "prepare".
type view struct {
	name, version string
	scripts       map[string]string
	bin           map[string]string
	// deps are the dependencies by kind, as written; those that are optional are not among
	// "dependencies" too.
	deps map[string]map[string]string
	// bundled are the names of bundled dependencies, sorted.
	bundled []string
	// plain are the other fields that installers act on, compared as JSON values.
	plain map[string]any
}

var depKinds = []string{"dependencies", "optionalDependencies", "peerDependencies", "devDependencies"}

// plainFields are compared as they are: they decide whether and how a package is installed.
var plainFields = []string{"peerDependenciesMeta", "acceptDependencies", "engines", "os", "cpu", "libc"}

// newView reads a manifest, be it a package.json or what a client sent.
func newView(o object) (view, error) {
	v := view{name: strings.TrimSpace(o.text("name")), version: cleanVersion(o.text("version"))}
	v.scripts = strs(o["scripts"])
	for name, script := range v.scripts {
		v.scripts[name] = binPrefix.ReplaceAllString(script, "")
	}
	v.bin = cleanBin(o["bin"], v.name)
	v.deps = map[string]map[string]string{}
	for _, kind := range depKinds {
		if raw := o[kind]; len(raw) > 0 && raw[0] != '{' && string(raw) != "null" {
			return v, fault.New(fault.Invalid, "package-json-invalid", "%q in package.json must be an object of names and ranges", kind)
		}
		v.deps[kind] = strs(o[kind])
	}
	for name := range v.deps["optionalDependencies"] {
		delete(v.deps["dependencies"], name)
	}
	v.bundled = bundled(o, v.deps["dependencies"])
	v.plain = map[string]any{}
	for _, field := range plainFields {
		if raw, ok := o[field]; ok {
			var value any
			if err := json.Unmarshal(raw, &value); err != nil {
				return v, err
			}
			v.plain[field] = value
		}
	}
	return v, nil
}

// cleanVersion does what semver.clean does: "v1.2.3+build" is published as 1.2.3.
func cleanVersion(s string) string {
	s, _, _ = strings.Cut(strings.TrimLeft(strings.TrimSpace(s), "=v \t"), "+")
	return s
}

// binPrefix is cut from scripts. Source: normalize.js, "scriptpath".
var binPrefix = regexp.MustCompile(`^(\.[/\\])?node_modules[/\\].bin[\\/]`)

// strs returns the string members of a JSON object; npm drops the others.
func strs(raw json.RawMessage) map[string]string {
	var all map[string]any
	if json.Unmarshal(raw, &all) != nil {
		return map[string]string{}
	}
	out := map[string]string{}
	for key, value := range all {
		if text, ok := value.(string); ok {
			out[key] = text
		}
	}
	return out
}

// cleanBin brings the three spellings of "bin" into one. Source: normalizePackageBin.
func cleanBin(raw json.RawMessage, name string) map[string]string {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return map[string]string{}
	}
	out := map[string]string{}
	add := func(command string, target any) {
		text, ok := target.(string)
		command, text = path.Base(rootedPath(command)), rootedPath(text)
		if ok && command != "" && command != "." && text != "" {
			out[command] = text
		}
	}
	switch b := value.(type) {
	case string:
		add(name, b)
	case []any:
		for _, one := range b {
			if text, ok := one.(string); ok {
				add(text, text)
			}
		}
	case map[string]any:
		for command, target := range b {
			add(command, target)
		}
	}
	return out
}

var slashes = strings.NewReplacer(`\`, "/", ":", "/")

// rootedPath is p below the package's folder, without "./" and ".." (npm: secureAndUnixifyPath).
func rootedPath(p string) string {
	return strings.TrimPrefix(path.Join("/", slashes.Replace(p)), "/")
}

// bundled reads bundleDependencies in its spellings: a list, an object's keys, true for all.
func bundled(o object, deps map[string]string) []string {
	raw, ok := o["bundleDependencies"]
	if !ok {
		raw = o["bundledDependencies"]
	}
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return nil
	}
	var names []string
	switch b := value.(type) {
	case bool:
		if b {
			names = slices.Collect(maps.Keys(deps))
		}
	case []any:
		for _, one := range b {
			if text, ok := one.(string); ok {
				names = append(names, text)
			}
		}
	case map[string]any:
		names = slices.Collect(maps.Keys(b))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// implied returns the scripts that npm's client adds because of files in the tarball, for a
// package.json whose scripts are given. Source: normalize.js, "gypfile" and "serverjs".
func (in *inside) implied(scripts map[string]string) map[string]string {
	out := maps.Clone(scripts)
	if in.gyp && scripts["install"] == "" && scripts["preinstall"] == "" && string(in.manifest["gypfile"]) != "false" {
		out["install"] = "node-gyp rebuild"
	}
	if in.serverJS && scripts["start"] == "" {
		out["start"] = "node server.js"
	}
	return out
}

// binFolder returns the commands that directories.bin stands for. Source: normalize.js, "binDir".
func (in *inside) binFolder() map[string]string {
	var dirs map[string]any
	_ = json.Unmarshal(in.manifest["directories"], &dirs) // another form of it means nothing to npm either
	folder, _ := dirs["bin"].(string)
	folder = rootedPath(folder)
	out := map[string]string{}
	for _, file := range in.files {
		below, ok := strings.CutPrefix(file, folder+"/")
		if !ok || folder == "" || strings.HasPrefix(below, ".") {
			continue
		}
		for ; below != "."; below = path.Dir(below) {
			out[path.Base(below)] = folder + "/" + below
		}
	}
	return out
}

// dependencies are what npm fetches with the version. What it bundles comes with it.
func (v view) dependencies() []evidence.Dependency {
	ranges := map[string]string{}
	for _, kind := range []string{"peerDependencies", "optionalDependencies", "dependencies"} {
		maps.Copy(ranges, v.deps[kind])
	}
	var out []evidence.Dependency
	for _, name := range slices.Sorted(maps.Keys(ranges)) {
		if !slices.Contains(v.bundled, name) && len(out) < maxDependencies {
			out = append(out, dependency(name, ranges[name]))
		}
	}
	return out
}

// maxDependencies is how many dependencies are kept for comparison; package.json itself is kept whole.
const maxDependencies = 5000

// dependency reads "npm:other@1" for what it stands for, and an address for what it is. Source: npm docs,
// "package.json", "dependencies".
func dependency(name, spec string) evidence.Dependency {
	if alias, found := strings.CutPrefix(spec, "npm:"); found {
		at := strings.LastIndexByte(alias, '@')
		if at > 0 {
			return evidence.Dependency{Name: fault.Clip(alias[:at]), Range: fault.Clip(alias[at+1:])}
		}
		return evidence.Dependency{Name: fault.Clip(alias)}
	}
	return evidence.Dependency{Name: fault.Clip(name), Range: fault.Clip(spec), Elsewhere: strings.ContainsAny(spec, ":/")}
}
