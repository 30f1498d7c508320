package sbom

import (
	"io"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// namespace is what our serial numbers are derived in.
const namespace = "https://hullmark.dev/sbom/"

// CycloneDX writes d in CycloneDX 1.6, as JSON. tool is the version of the program.
func CycloneDX(w io.Writer, d *Document, tool string, at time.Time) error {
	sum, err := d.sum()
	if err != nil {
		return err
	}
	b := cdx.NewBOM()
	b.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, []byte(namespace+sum)).URN()
	root := d.root()
	b.Metadata = &cdx.Metadata{
		Timestamp: at.UTC().Format(time.RFC3339), Component: &root,
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "hullmark", Version: tool}}},
	}
	components, inside := []cdx.Component{}, []string{}
	for _, c := range d.ordered() {
		components, inside = append(components, c.cyclonedx()), append(inside, ref(c))
	}
	b.Components = &components
	b.Dependencies = &[]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &inside}}
	aggregate := cdx.CompositionAggregateUnknown
	if d.Incomplete() {
		aggregate = cdx.CompositionAggregateIncomplete
	}
	b.Compositions = &[]cdx.Composition{{Aggregate: aggregate, Assemblies: &[]cdx.BOMReference{cdx.BOMReference(root.BOMRef)}}}
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(b, cdx.SpecVersion1_6)
}

func (d *Document) root() cdx.Component {
	c := cdx.Component{BOMRef: "root", Type: cdx.ComponentTypeFile, Name: d.Name, Hashes: hashes(d.Digest)}
	if d.Image {
		c.Type, c.Version = cdx.ComponentTypeContainer, d.Digest
	}
	var p properties
	p.add("platform", d.Platform)
	if d.Head >= 0 {
		p.add("record:head", strconv.FormatInt(d.Head, 10))
	}
	for _, gap := range d.Gaps {
		p.add("gap", gap)
	}
	c.Properties = p.list()
	return c
}

func (c Component) cyclonedx() cdx.Component {
	name, version := nameOf(c.PURL)
	out := cdx.Component{BOMRef: ref(c), Type: cdx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: c.PURL, Hashes: hashes(c.Artifact)}
	if c.Path != "" {
		out.Evidence = &cdx.Evidence{Occurrences: &[]cdx.EvidenceOccurrence{{Location: c.Path}}}
	}
	var p properties
	if c.Layer >= 0 {
		p.add("layer", strconv.Itoa(c.Layer))
	}
	p.add("grounds", c.Grounds)
	p.add("publisher", c.Publisher)
	if !c.At.IsZero() {
		p.add("published", c.At.UTC().Format(time.RFC3339))
	}
	p.add("recalled", c.Recalled)
	out.Properties = p.list()
	return out
}

// hashes are a digest in CycloneDX's words.
func hashes(d string) *[]cdx.Hash {
	algorithm, hex, _ := strings.Cut(d, ":")
	name, known := map[string]cdx.HashAlgorithm{"sha256": cdx.HashAlgoSHA256, "sha512": cdx.HashAlgoSHA512}[algorithm]
	if !known {
		return nil
	}
	return &[]cdx.Hash{{Algorithm: name, Value: hex}}
}

// properties are what the format has no words for, each under our name.
type properties []cdx.Property

func (p *properties) add(name, value string) {
	if value != "" {
		*p = append(*p, cdx.Property{Name: "hullmark:" + name, Value: value})
	}
}

func (p properties) list() *[]cdx.Property {
	if len(p) == 0 {
		return nil
	}
	all := []cdx.Property(p)
	return &all
}
