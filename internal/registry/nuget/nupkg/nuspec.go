// Package nupkg reads what is published as NuGet packages: the archive and the layout that its signature is over, the nuspec,
// versions and ranges. It knows no registry and no protocol.
package nupkg

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

const (
	maxNuspec   = 1 << 20 // bytes of a nuspec
	maxElements = 20_000  // in one
	maxNesting  = 16
	// How much is kept of it, and how many dependencies it may have.
	MaxText = 4000 // characters that are kept of a description
	MaxPart = 256  // of a title or an author
	MaxTags = 100
	MaxDeps = 2000
)

// Nuspec is a package's description of itself. Source: NuGet docs, ".nuspec reference".
type Nuspec struct {
	ID      string
	Version Version

	Title, Authors, Description, Summary, ReleaseNotes, Copyright, Language string
	ProjectURL, IconURL, LicenseURL, License, LicenseFile, Readme, Icon     string
	MinClient                                                               string
	Tags                                                                    []string
	RequireLicenseAcceptance                                                bool
	Types                                                                   []string
	Groups                                                                  []DependencyGroup
	Repository                                                              string
}

// DependencyGroup are the dependencies for one target framework; an empty framework means any.
type DependencyGroup struct {
	Framework    string       `json:"targetFramework,omitempty"`
	Dependencies []Dependency `json:"dependencies,omitempty"`
}

// Dependency is another package with the versions of it that will do.
type Dependency struct {
	ID    string `json:"id"`
	Range string `json:"range,omitempty"`
}

// element is an XML element with what matters of it.
type element struct {
	name     string // without namespace
	attrs    map[string]string
	text     string
	children []*element
}

// nameForm is what a package may be called. Source: NuGet.Client, PackageIdValidator.cs.
var nameForm = regexp.MustCompile(`^\w+(?:[_.-]\w+)*$`)

const maxName = 100 // bytes; nuget.org has the same

// CheckName fails with code name-invalid.
func CheckName(id string) error {
	if len(id) > maxName || !nameForm.MatchString(id) {
		return fault.New(fault.Invalid, "name-invalid",
			"%q is not a package id; use letters, digits and _, with single dots or hyphens between, and at most %d characters", fault.Clip(id), maxName)
	}
	return nil
}

func nuspecInvalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "nuspec-invalid", format, args...)
}

// parseNuspec reads the description. What clients could read in two ways is refused: an element that
// exists twice, a document type.
func parseNuspec(r io.Reader) (*Nuspec, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxNuspec+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxNuspec {
		return nil, fault.New(fault.TooLarge, "nuspec-invalid", "the nuspec is larger than the %d KiB that are read; shorten it", maxNuspec>>10)
	}
	root, err := readElements(data)
	if err != nil {
		return nil, err
	}
	var metadata []*element
	for _, child := range root.children {
		if child.name == "metadata" {
			metadata = append(metadata, child)
		}
	}
	if root.name != "package" || len(metadata) != 1 {
		return nil, nuspecInvalid("the nuspec is not one package with one metadata element; pack it with nuget pack or dotnet pack")
	}
	return readMetadata(metadata[0])
}

// readElements reads a document within limits.
func readElements(data []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	d.CharsetReader = func(label string, _ io.Reader) (io.Reader, error) {
		return nil, nuspecInvalid("the nuspec is written in %q; save it as UTF-8", fault.Clip(label))
	}
	root := &element{}
	stack, count := []*element{root}, 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if f, ok := err.(*fault.Error); ok {
			return nil, f
		}
		if err != nil {
			return nil, nuspecInvalid("the nuspec is not well-formed XML; pack it with nuget pack or dotnet pack").Because(err)
		}
		top := stack[len(stack)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if count++; count > maxElements || len(stack) > maxNesting {
				return nil, nuspecInvalid("the nuspec has more than %d elements, or nests them more than %d deep; shorten it", maxElements, maxNesting)
			}
			e := &element{name: t.Name.Local, attrs: map[string]string{}}
			for _, a := range t.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(t)
		case xml.Directive:
			return nil, nuspecInvalid("the nuspec has a document type declaration, which is not read; remove it")
		}
	}
	if len(root.children) != 1 || len(stack) != 1 {
		return nil, nuspecInvalid("the nuspec is not one XML document; pack it with nuget pack or dotnet pack")
	}
	return root.children[0], nil
}

// readMetadata takes what is served; the document itself is kept and served as it is.
func readMetadata(m *element) (*Nuspec, error) {
	one := map[string]*element{}
	for _, child := range m.children {
		if one[child.name] != nil {
			return nil, nuspecInvalid("the nuspec has the element %q twice, so that two tools could read two values; remove one", fault.Clip(child.name))
		}
		one[child.name] = child
	}
	text := func(name string, limit int) string {
		if one[name] == nil {
			return ""
		}
		t := strings.TrimSpace(one[name].text)
		return strings.ToValidUTF8(t[:min(len(t), limit)], "")
	}
	n := &Nuspec{
		ID: text("id", maxNuspec), Title: text("title", MaxPart), Authors: text("authors", MaxText), Description: text("description", MaxText),
		Summary: text("summary", MaxText), ReleaseNotes: text("releaseNotes", MaxText), Copyright: text("copyright", MaxText),
		Language: text("language", MaxPart), Readme: text("readme", MaxPart), Icon: text("icon", MaxPart),
		ProjectURL: WebAddress(text("projectUrl", MaxText)), IconURL: WebAddress(text("iconUrl", MaxText)), LicenseURL: WebAddress(text("licenseUrl", MaxText)),
		RequireLicenseAcceptance: text("requireLicenseAcceptance", MaxPart) == "true", MinClient: m.attrs["minClientVersion"],
	}
	if err := CheckName(n.ID); err != nil {
		return nil, err
	}
	var err error
	if n.Version, err = ParseVersion(text("version", maxNuspec)); err != nil {
		return nil, err
	}
	for _, tag := range strings.FieldsFunc(text("tags", MaxText), func(r rune) bool { return strings.ContainsRune(" ,;\t\r\n", r) }) {
		if len(n.Tags) < MaxTags {
			n.Tags = append(n.Tags, tag)
		}
	}
	if l := one["license"]; l != nil && l.attrs["type"] == "expression" {
		n.License = text("license", MaxPart)
	} else if l != nil {
		n.LicenseFile = text("license", MaxPart)
	}
	if types := one["packageTypes"]; types != nil {
		for _, t := range types.children {
			n.Types = append(n.Types, t.attrs["name"])
		}
	}
	if r := one["repository"]; r != nil {
		n.Repository = WebAddress(r.attrs["url"])
	}
	n.Groups, err = readGroups(one["dependencies"])
	return n, err
}

// readGroups reads dependencies in either form: in groups, or plain for any framework.
func readGroups(all *element) ([]DependencyGroup, error) {
	if all == nil {
		return nil, nil
	}
	var groups []DependencyGroup
	plain, count := DependencyGroup{}, 0
	take := func(into *DependencyGroup, e *element) error {
		if count++; count > MaxDeps {
			return nuspecInvalid("the nuspec has more than %d dependencies", MaxDeps)
		}
		if err := CheckName(e.attrs["id"]); err != nil {
			return err
		}
		into.Dependencies = append(into.Dependencies, Dependency{ID: e.attrs["id"], Range: VersionRange(e.attrs["version"])})
		return nil
	}
	for _, child := range all.children {
		switch child.name {
		case "dependency":
			if err := take(&plain, child); err != nil {
				return nil, err
			}
		case "group":
			g := DependencyGroup{Framework: child.attrs["targetFramework"]}
			for _, e := range child.children {
				if e.name != "dependency" {
					continue
				}
				if err := take(&g, e); err != nil {
					return nil, err
				}
			}
			groups = append(groups, g)
		}
	}
	if len(plain.Dependencies) > 0 {
		if len(groups) > 0 {
			return nil, nuspecInvalid("the nuspec has dependencies inside and outside of groups; put all of them into groups")
		}
		groups = []DependencyGroup{plain}
	}
	return groups, nil
}

// VersionRange is a range as registrations write it: "1.0" means "at least 1.0".
// Source: NuGet.Client, VersionRange.ToNormalizedString.
func VersionRange(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return "(, )"
	}
	if v, err := ParseVersion(s); err == nil {
		return "[" + v.Full() + ", )"
	}
	inner := strings.TrimSpace(strings.Trim(s, "[]()"))
	low, high, two := strings.Cut(inner, ",")
	if !two {
		if v, err := ParseVersion(inner); err == nil {
			return "[" + v.Full() + "]"
		}
		return s
	}
	normal := func(part string) string {
		if v, err := ParseVersion(strings.TrimSpace(part)); err == nil {
			return v.Full()
		}
		return strings.TrimSpace(part)
	}
	return s[:1] + normal(low) + ", " + normal(high) + s[len(s)-1:]
}

// SemVer2 reports whether clients from before NuGet 4.3 cannot use the package.
func (n *Nuspec) SemVer2() bool {
	return n.Version.SemVer2() || slices.ContainsFunc(n.Groups, func(g DependencyGroup) bool {
		return slices.ContainsFunc(g.Dependencies, func(d Dependency) bool { return SemVer2Range(d.Range) })
	})
}

// WebAddress keeps addresses that a browser opens, and no others: pages link to them.
func WebAddress(s string) string {
	if strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return s
	}
	return ""
}
