package gemspec

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// The members of a gem. Source: RubyGems 3.3, package.rb.
const (
	metadataMember  = "metadata.gz"
	dataMember      = "data.tar.gz"
	checksumsMember = "checksums.yaml.gz"
	signatureEnding = ".sig"
)

// archive is a gem on its way through the reader.
type archive struct {
	limits    safearchive.Limits
	metadata  int64 // most bytes of it
	spec      *Spec
	inventory *evidence.Inventory
	// sums are the digests of the members as they are packed, by algorithm and member.
	sums      map[string]map[string]string
	checksums map[string]map[string]string // what the gem says that they are; nil without
}

// ReadGem reads a gem once: its metadata, what its data holds, and whether its checksums hold. The gemspec
// is not believed about the files: the inventory lists what is there.
func ReadGem(r io.Reader, limits safearchive.Limits, metadata int64) (*Spec, *evidence.Inventory, error) {
	a := &archive{limits: limits, metadata: metadata, sums: map[string]map[string]string{"SHA256": {}, "SHA512": {}}}
	outer := limits
	outer.Entries = maxMembers
	outer.Unpacked = limits.Packed // a member of a gem is packed itself
	bounded := &bounded{r: r, left: limits.Packed}
	err := safearchive.Walk(bounded, outer, a.member)
	switch {
	case bounded.left < 0:
		return nil, nil, fault.New(fault.TooLarge, "archive-too-large", "the gem is larger than the %d bytes that are taken; leave out what is not needed to use it", limits.Packed)
	case err != nil:
		return nil, nil, err
	case a.spec == nil:
		return nil, nil, layout("it has no %s", metadataMember)
	case a.inventory == nil:
		return nil, nil, layout("it has no %s", dataMember)
	}
	if err := a.checkSums(); err != nil {
		return nil, nil, err
	}
	a.inventory.Hooks = hooks(a.spec, a.inventory)
	if a.inventory.Signals == nil {
		a.inventory.Signals = &evidence.Signals{}
	}
	a.inventory.Signals.Dependencies = a.spec.dependencies()
	return a.spec, a.inventory, nil
}

// maxMembers is more than a signed gem has.
const maxMembers = 16

func layout(format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, "gem-layout", format, args...)
	f.Text = "this is no gem as gem build makes it: " + f.Text + "; build it again"
	return f
}

// member reads one member of the outer archive.
func (a *archive) member(e safearchive.Entry, content io.Reader) error {
	if e.Kind != safearchive.File {
		return layout("%q is no plain file", fault.Clip(e.Path))
	}
	s256, s512 := sha256.New(), sha512.New()
	packed := io.TeeReader(content, io.MultiWriter(s256, s512))
	var err error
	switch {
	case e.Path == metadataMember:
		err = a.readMetadata(packed)
	case e.Path == dataMember:
		a.inventory, err = registry.IndexArchive(packed, a.limits, func(safearchive.Entry, io.Reader) error { return nil })
	case e.Path == checksumsMember:
		err = a.readChecksums(packed)
	case !strings.HasSuffix(e.Path, signatureEnding):
		return layout("it holds %q, which no gem has", fault.Clip(e.Path))
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return err
	}
	for name, h := range map[string]hash.Hash{"SHA256": s256, "SHA512": s512} {
		a.sums[name][e.Path] = hex.EncodeToString(h.Sum(nil))
	}
	return nil
}

func (a *archive) readMetadata(packed io.Reader) error {
	data, err := unpack(packed, a.metadata, metadataMember)
	if err != nil {
		return err
	}
	a.spec, err = ParseSpec(data)
	return err
}

// unpack reads a small gzip member.
func unpack(packed io.Reader, limit int64, member string) ([]byte, error) {
	z, err := gzip.NewReader(packed)
	if err != nil {
		return nil, layout("its %s is not gzip", member).Because(err)
	}
	data, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, layout("its %s cannot be unpacked", member).Because(err)
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.TooLarge, "gemspec-too-large", "the gem's %s is larger than the %d KiB that are read; list fewer files", member, limit>>10)
	}
	return data, nil
}

// maxChecksums is how many bytes of checksums are read.
const maxChecksums = 64 << 10

func (a *archive) readChecksums(packed io.Reader) error {
	data, err := unpack(packed, maxChecksums, checksumsMember)
	if err != nil {
		return err
	}
	var sums map[string]map[string]string
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&sums); err != nil {
		return layout("its %s cannot be read", checksumsMember).Because(err)
	}
	a.checksums = sums
	return nil
}

// checkSums compares what the gem says of its members with what they are: gem install does, too, and would
// refuse what we had taken. Source: RubyGems 3.3, package.rb, "verify_checksums".
func (a *archive) checkSums() error {
	for algorithm, members := range a.checksums {
		known := a.sums[algorithm]
		if known == nil {
			continue // SHA1, in old gems
		}
		for member, said := range members {
			if got, there := known[member]; !there || got != said {
				return fault.New(fault.Integrity, "gem-checksum",
					"the gem's own checksums do not hold: %s of %s is another one; build it again", algorithm, fault.Clip(member))
			}
		}
	}
	return nil
}

// hooks are what installing the gem runs: its extensions are built with their own scripts, and a file
// rubygems_plugin.rb is loaded by every later gem command.
// Source: RubyGems 3.3, ext/builder.rb; rubygems.rb, "load_plugins".
func hooks(s *Spec, inv *evidence.Inventory) []evidence.InstallHook {
	files := map[string]bool{}
	for _, f := range inv.Files {
		files[f.Path] = true
	}
	var out []evidence.InstallHook
	for _, e := range s.Extensions {
		hook := evidence.InstallHook{Name: "extension", Command: buildCommand(e)}
		if file := path.Clean(e); files[file] {
			hook.Files = []string{file}
		}
		out = append(out, hook)
	}
	for _, f := range inv.Files {
		if path.Base(f.Path) == "rubygems_plugin.rb" {
			out = append(out, evidence.InstallHook{Name: "plugin", Command: "require " + f.Path, Files: []string{f.Path}})
		}
	}
	slices.SortStableFunc(out, func(a, b evidence.InstallHook) int { return strings.Compare(a.Command, b.Command) })
	return out[:min(len(out), maxHooks)]
}

// maxHooks is how many hooks are told apart.
const maxHooks = 1000

// buildCommand is how RubyGems builds an extension. Source: ext/builder.rb, "builder_for".
func buildCommand(extension string) string {
	base := strings.ToLower(path.Base(extension))
	switch {
	case strings.Contains(base, "extconf"):
		return "ruby " + extension + " && make"
	case strings.Contains(base, "rakefile"), strings.Contains(base, "mkrf_conf"):
		return "rake -f " + extension
	case strings.Contains(base, "configure"):
		return "sh " + extension + " && make"
	case base == "cargo.toml":
		return "cargo build --manifest-path " + extension
	case base == "cmakelists.txt":
		return "cmake " + extension
	}
	return extension
}

// bounded reads so many bytes and then fails; left is negative afterwards.
type bounded struct {
	r    io.Reader
	left int64
}

var errBounded = errors.New("more bytes than are read")

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errBounded
	}
	return n, err
}
