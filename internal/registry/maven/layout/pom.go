package layout

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// pom is what we read of a project's description.
// Source: maven.apache.org/xsd/maven-4.0.0.xsd.
type pom struct {
	Group       string   `xml:"groupId"`
	Artifact    string   `xml:"artifactId"`
	Version     string   `xml:"version"`
	Packaging   string   `xml:"packaging"`
	Name        string   `xml:"name"`
	Description string   `xml:"description"`
	URL         string   `xml:"url"`
	Licences    []string `xml:"licenses>license>name"`
	Developers  []struct {
		Name string `xml:"name"`
		ID   string `xml:"id"`
	} `xml:"developers>developer"`
	SCM          string       `xml:"scm>url"`
	Parent       *parent      `xml:"parent"`
	Dependencies []dependency `xml:"dependencies>dependency"`
	Managed      []dependency `xml:"dependencyManagement>dependencies>dependency"`
	Repositories []struct {
		URL string `xml:"url"`
	} `xml:"repositories>repository"`
	Properties properties `xml:"properties"`
}

type parent struct {
	Group    string `xml:"groupId"`
	Artifact string `xml:"artifactId"`
	Version  string `xml:"version"`
}

type dependency struct {
	Group    string `xml:"groupId"`
	Artifact string `xml:"artifactId"`
	Version  string `xml:"version"`
	Scope    string `xml:"scope"`
	Optional string `xml:"optional"`
	Path     string `xml:"systemPath"`
}

// properties are the values that a pom's own expressions name.
type properties map[string]string

// UnmarshalXML implements xml.Unmarshaler: the elements' names are the keys.
func (p *properties) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	*p = properties{}
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			var value string
			if err := d.DecodeElement(&value, &t); err != nil {
				return err
			}
			if len(*p) < maxProperties {
				(*p)[t.Name.Local] = value
			}
		case xml.EndElement:
			return nil
		}
	}
}

const (
	maxProperties   = 10_000
	maxDependencies = 10_000
	maxDepth        = 64 // of elements
)

func pomInvalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "pom-invalid", format, args...)
}

// DecodeXML reads one document. Entities that a document declares are not known to the decoder and so an
// error, and the elements' depth is bounded.
func DecodeXML(raw []byte, v any) error {
	if err := checkDepth(raw); err != nil {
		return err
	}
	d := newDecoder(raw)
	return d.Decode(v)
}

func newDecoder(raw []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(raw))
	d.CharsetReader = latin1
	return d
}

// latin1 reads the two encodings besides UTF-8 that poms are written in.
func latin1(label string, input io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii", "utf8":
		return input, nil
	case "iso-8859-1", "latin1", "windows-1252":
	default:
		return nil, errors.New("the document is not in UTF-8")
	}
	raw, err := io.ReadAll(input)
	var b strings.Builder
	for _, c := range raw {
		b.WriteRune(rune(c))
	}
	return strings.NewReader(b.String()), err
}

func checkDepth(raw []byte) error {
	d, depth := newDecoder(raw), 0
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return errors.New("elements are nested too deeply")
			}
		case xml.EndElement:
			depth--
		case xml.Directive:
			if bytes.Contains(bytes.ToUpper(t), []byte("ENTITY")) {
				return errors.New("the document declares entities")
			}
		}
	}
}

// ParsePOM reads a pom. Its coordinates, and what it names in its own properties, are filled in; what is inherited from
// a parent is not but for group and version, which a pom may leave to it.
func ParsePOM(raw []byte) (pom, error) {
	var doc struct {
		XMLName xml.Name `xml:"project"`
		pom
	}
	if err := DecodeXML(raw, &doc); err != nil {
		return pom{}, pomInvalid("the pom cannot be read as the XML of a project; deploy the one that mvn makes").Because(err)
	}
	p := doc.pom
	if p.Parent != nil {
		if p.Group == "" {
			p.Group = p.Parent.Group
		}
		if p.Version == "" {
			p.Version = p.Parent.Version
		}
	}
	for _, field := range []*string{&p.Group, &p.Artifact, &p.Version, &p.Packaging} {
		*field = p.resolve(strings.TrimSpace(*field))
	}
	if p.Packaging == "" {
		p.Packaging = "jar"
	}
	if len(p.Dependencies)+len(p.Managed) > maxDependencies {
		return pom{}, pomInvalid("the pom has more than %d dependencies", maxDependencies)
	}
	return p, nil
}

// ReadPOM is parsePOM of up to limit bytes.
func ReadPOM(r io.Reader, limit int64) (pom, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return pom{}, err
	}
	if int64(len(raw)) > limit {
		return pom{}, pomInvalid("the pom is larger than %d MiB", limit>>20)
	}
	return ParsePOM(raw)
}

// resolve replaces "${key}" by the pom's own property, once: what mvn makes of it depends on
// parents and profiles, too, and stays as it is written.
func (p *pom) resolve(text string) string {
	for range 8 {
		before, rest, ok := strings.Cut(text, "${")
		key, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return text
		}
		value, known := p.Properties[key]
		switch key {
		case "project.groupId", "pom.groupId", "groupId":
			value, known = p.Group, p.Group != ""
		case "project.version", "pom.version", "version":
			value, known = p.Version, p.Version != ""
		}
		value = strings.TrimSpace(value)
		if !known || strings.Contains(value, "${"+key+"}") || len(value) > maxSegment {
			return text
		}
		text = before + value + after
	}
	return text
}

// Check compares the pom with the address that it is put to: mvn believes the address, and everybody who
// reads the pom believes the pom.
func (p *pom) Check(c Coordinates) error {
	for _, one := range []struct{ what, said, want string }{
		{"groupId", p.Group, c.Group}, {"artifactId", p.Artifact, c.Artifact}, {"version", p.Version, c.Version},
	} {
		if one.said == one.want || one.what == "version" && one.said == c.Build {
			continue
		}
		if strings.Contains(one.said, "${") {
			return fault.New(fault.Invalid, "coordinates-differ",
				"the pom's %s is %q, which nobody who depends on it can resolve; deploy a pom with the value filled in (flatten-maven-plugin does that)", one.what, fault.Clip(one.said))
		}
		return fault.New(fault.Invalid, "coordinates-differ",
			"the pom's %s is %q and its address says %q; deploy it where it belongs", one.what, fault.Clip(one.said), one.want)
	}
	return nil
}

// Inventory is what the record knows of a pom: what a build fetches with it.
func (p *pom) Inventory(file evidence.File) *evidence.Inventory {
	inv := &evidence.Inventory{Analyser: pomAnalyser, Entries: 1, Bytes: file.Size, Files: []evidence.File{file}, Signals: &evidence.Signals{}}
	if p.Parent != nil {
		inv.Signals.Dependencies = append(inv.Signals.Dependencies, evidence.Dependency{Name: p.Parent.Group + "/" + p.Parent.Artifact, Range: p.Parent.Version})
	}
	for _, d := range p.Dependencies {
		if d.Scope == "test" || d.Scope == "provided" || p.resolve(d.Optional) == "true" {
			continue // nobody who depends on the project gets them
		}
		inv.Signals.Dependencies = append(inv.Signals.Dependencies, evidence.Dependency{
			Name:  p.resolve(strings.TrimSpace(d.Group)) + "/" + p.resolve(strings.TrimSpace(d.Artifact)),
			Range: p.resolve(strings.TrimSpace(d.Version)), Elsewhere: d.Scope == "system",
		})
	}
	for _, repository := range p.Repositories {
		inv.Signals.Hosts = append(inv.Signals.Hosts, evidence.Mark{Path: file.Path, What: hostOf(repository.URL)})
	}
	return inv
}

// hostOf returns the host of an address, or the address where it has none.
func hostOf(address string) string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		return fault.Clip(address)
	}
	host, _, _ := strings.Cut(rest, "/")
	return fault.Clip(host)
}

// pomAnalyser names the reader of poms and its version.
const pomAnalyser = "pom/1"

// CheckModule compares Gradle's description of a release, which Gradle believes in place of the pom, with its
// address. Source: gradle/gradle, "gradle-module-metadata-latest-specification.md".
func CheckModule(raw []byte, c Coordinates) error {
	var m struct {
		Component struct {
			Group, Module, Version string
			URL                    string
		}
		Variants []struct {
			Files []struct{ URL string }
		}
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return fault.New(fault.Invalid, "pom-invalid", "the Gradle module is not the JSON of one; deploy the one that Gradle makes").Because(err)
	}
	said := Coordinates{Group: m.Component.Group, Artifact: m.Component.Module, Version: m.Component.Version}
	if m.Component.URL == "" && (said.Name() != c.Name() || said.Version != c.Version && said.Version != c.Build) {
		return fault.New(fault.Invalid, "coordinates-differ", "the Gradle module says that it is %q and its address says %q; deploy it where it belongs",
			fault.Clip(said.Group+":"+said.Artifact+":"+said.Version), c.Group+":"+c.Artifact+":"+c.Version)
	}
	for _, v := range m.Variants {
		for _, f := range v.Files {
			if strings.ContainsAny(f.URL, "/\\:%?#") {
				return fault.New(fault.Invalid, "coordinates-differ",
					"the Gradle module fetches %q, which is not a file of this version; publish the file beside it", fault.Clip(f.URL))
			}
		}
	}
	return nil
}
