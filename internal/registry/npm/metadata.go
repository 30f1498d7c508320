package npm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxReadme is how much of a readme is kept, in bytes; npm's registry keeps as much.
const maxReadme = 64 << 10

// dist is the part of a served manifest that the registry computes itself. It is stored without
// Tarball, which depends on the address under which the registry is reached.
type dist struct {
	Integrity    string      `json:"integrity"`
	Shasum       string      `json:"shasum"`
	Tarball      string      `json:"tarball,omitempty"`
	FileCount    int         `json:"fileCount"`
	UnpackedSize int64       `json:"unpackedSize"` // bytes
	Signatures   []signature `json:"signatures,omitempty"`
	Attestations *attested   `json:"attestations,omitempty"`
}

// installScripts run when a package is installed.
var installScripts = []string{"preinstall", "install", "postinstall"}

// metadata checks the manifest that the client sent against the tarball and returns what is stored
// of it: canonical JSON with the tarball's own values in every field that decides what is
// installed and run, and with dist as we computed it.
func (p *publication) metadata(sent object, in *inside) ([]byte, error) {
	said, err := newView(sent)
	if err != nil {
		return nil, err
	}
	if said.name != p.name || said.version != p.version || sent.text("version") != p.version {
		return nil, confusion("version")
	}
	d, err := p.dist(sent, in)
	if err != nil {
		return nil, err
	}
	served, err := reconcile(said, in)
	if err != nil {
		return nil, err
	}
	in.inventory.Hooks = in.hooks(served.scripts)
	in.inventory.Signals.Dependencies = served.dependencies()
	return p.compose(sent, served, in, d)
}

// dist computes the tarball's description. What the client announced must agree with it.
func (p *publication) dist(sent object, in *inside) (dist, error) {
	var said struct{ Integrity, Shasum string }
	if err := sent.decode("dist", &said); err != nil {
		return dist{}, err
	}
	d := dist{
		Integrity: p.tarball.integrity(), Shasum: p.tarball.shasum(),
		FileCount: len(in.files), UnpackedSize: in.unpacked,
	}
	if said.Integrity != "" && !slices.Contains(strings.Fields(said.Integrity), d.Integrity) {
		return dist{}, confusion("dist.integrity")
	}
	if said.Shasum != "" && said.Shasum != d.Shasum {
		return dist{}, confusion("dist.shasum")
	}
	sig, err := p.r.keys.sign(p.name, p.version, d.Integrity)
	if err != nil {
		return dist{}, fmt.Errorf("sign %s@%s: %w", p.name, p.version, err)
	}
	d.Signatures = []signature{sig}
	if p.provenance != nil {
		bundle := p.provenance.digest()
		d.Attestations = &attested{Provenance: predicated{p.provenance.proof.PredicateType}, Bundle: &bundle}
	}
	return d, nil
}

// unkept are fields that clients send and that we compute, or that are said better elsewhere.
var unkept = []string{"deprecated", "bundledDependencies", "directories", "maintainers", "time", "integrity", "shasum", "gypfile"}

// compose writes the stored manifest. Fields that begin with "_" are clients' notes to themselves
// or ours, except for the two that say what packed it.
func (p *publication) compose(sent object, v view, in *inside, d dist) ([]byte, error) {
	o := maps.Clone(sent)
	maps.DeleteFunc(o, func(key string, _ json.RawMessage) bool {
		return strings.HasPrefix(key, "_") && key != "_nodeVersion" && key != "_npmVersion"
	})
	for _, field := range unkept {
		delete(o, field)
	}
	fields := map[string]any{
		"_id": p.name + "@" + p.version, "name": p.name, "version": p.version, "dist": d,
		"scripts": orNil(v.scripts), "bin": orNil(v.bin), "bundleDependencies": nil, "hasInstallScript": nil,
		"_hasShrinkwrap": in.shrinkwrap, "readme": orNil(clipReadme(sent.text("readme"))),
	}
	for _, kind := range depKinds {
		fields[kind] = orNil(v.deps[kind])
	}
	if len(v.bundled) > 0 {
		fields["bundleDependencies"] = v.bundled
	}
	if slices.ContainsFunc(installScripts, func(s string) bool { return v.scripts[s] != "" }) {
		fields["hasInstallScript"] = true
	}
	for key, value := range fields {
		if err := o.set(key, value); err != nil {
			return nil, err
		}
	}
	data, err := encode(o)
	if err == nil && len(data) > p.r.limits.Manifest+maxReadme {
		err = manifestTooLarge(p.r.limits.Manifest)
	}
	return data, err
}

// orNil turns an empty map or string into nil, which object.set leaves out.
func orNil[T map[string]string | string](v T) any {
	if len(v) == 0 {
		return nil
	}
	return v
}

// clipReadme shortens a readme, never inside a rune, and drops what npm writes when there is none.
func clipReadme(s string) string {
	if s == "ERROR: No README data found!" {
		return ""
	}
	return strings.ToValidUTF8(s[:min(len(s), maxReadme)], "")
}
