package npm

import (
	"encoding/json"

	"github.com/hullmark/hullmark/internal/fault"
)

// object is a JSON object whose values are not decoded yet. Decoding into a map rather than a
// struct matters: encoding/json fills a struct's field "scripts" from a key "Scripts" too, which
// no JavaScript client would, and the two would see different manifests.
type object map[string]json.RawMessage

// document is what clients PUT: a packument or the part of one that they want changed.
type document struct {
	name     string
	rev      string
	tags     map[string]string
	versions map[string]json.RawMessage
	// owners is nil when the document does not speak of maintainers.
	owners      []string
	attachments []string
}

// parseDocument decodes a document whose attachments were taken out.
func parseDocument(doc []byte) (document, error) {
	var root object
	if err := json.Unmarshal(doc, &root); err != nil {
		return document{}, malformed("it is not a JSON object").Because(err)
	}
	var d document
	var attachments map[string]object
	var people []struct{ Name string }
	for key, into := range map[string]any{
		"name": &d.name, "_rev": &d.rev, "dist-tags": &d.tags, "versions": &d.versions,
		"_attachments": &attachments, "maintainers": &people,
	} {
		if err := root.decode(key, into); err != nil {
			return document{}, err
		}
	}
	for _, p := range people {
		d.owners = append(d.owners, p.Name)
	}
	for name := range attachments {
		d.attachments = append(d.attachments, name)
	}
	return d, nil
}

// decode decodes the value of key, if there is one, into v.
func (o object) decode(key string, v any) error {
	raw, ok := o[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return malformed("its %q has an unexpected form", key).Because(err)
	}
	return nil
}

// text returns the value of key when it is a string, else "".
func (o object) text(key string) string {
	var s string
	if json.Unmarshal(o[key], &s) != nil {
		return ""
	}
	return s
}

// set replaces the value of key; a nil value removes it.
func (o object) set(key string, v any) error {
	if v == nil {
		delete(o, key)
		return nil
	}
	raw, err := encode(v)
	if err != nil {
		return err
	}
	o[key] = raw
	return nil
}

// single returns the one version of a publish request and the tags that shall point at it.
func (d document) single(name string) (version string, manifest object, tags []string, err error) {
	if d.name != name {
		return "", nil, nil, malformed("its name is %q and its address says %q", fault.Clip(d.name), fault.Clip(name))
	}
	if len(d.versions) != 1 {
		return "", nil, nil, malformed("it holds %d versions; publish one at a time", len(d.versions))
	}
	for v, raw := range d.versions {
		version = v
		if err := json.Unmarshal(raw, &manifest); err != nil || manifest == nil {
			return "", nil, nil, malformed("the manifest of version %q is not an object", fault.Clip(v)).Because(err)
		}
	}
	if _, err := checkVersion(version); err != nil {
		return "", nil, nil, err
	}
	for tag, target := range d.tags {
		if target != version {
			return "", nil, nil, fault.New(fault.Invalid, "tag-invalid",
				"the tag %q is for %q, and this request publishes %s; move it with npm dist-tag afterwards", fault.Clip(tag), fault.Clip(target), version)
		}
		if err := checkTag(tag); err != nil {
			return "", nil, nil, err
		}
		tags = append(tags, tag)
	}
	return version, manifest, tags, nil
}
