// Package suite runs test cases of policies: a request, the records of its images and the exceptions go in, and
// the verdict must be the one that the case expects. It is what `hullmark policy test` does, with the same
// evaluator that admission uses; there is no second one to disagree with.
//
// A case says when it happens: a verdict depends on the moment, and a test must not depend on today. The
// package refuses fields that it does not know.
package suite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
)

// MaxFile limits a file with cases, in bytes: a record of an image with thousands of components fits.
const MaxFile = 16 << 20

// Case is one test case.
type Case struct {
	Name string `json:"name"`
	// Policies are files with policies, relative to the case's; Shipped are names of shipped policies. With
	// neither, all shipped ones are in force.
	Policies []string `json:"policies,omitempty"`
	Shipped  []string `json:"shipped,omitempty"`

	Request    policy.Request     `json:"request"`
	Records    []policy.Record    `json:"records,omitempty"` // images without one are not on the record
	Exceptions []policy.Exception `json:"exceptions,omitempty"`
	Expect     Expect             `json:"expect"`

	file string
}

// Expect is the verdict that a case demands.
type Expect struct {
	Allow bool `json:"allow"`
	// Failures are all findings, as policy/check, each once; at the stage after a colon when one is given:
	// "minimum-age/releases:warn".
	Failures   []string `json:"failures,omitempty"`
	Exceptions []int64  `json:"exceptions,omitempty"`
}

// Resolve fills in what a reference says (registry, repository, tag, digest), so that a case need not.
type Resolve func(reference string) (policy.Image, error)

// Load reads the cases of a file, or of all .yaml files of a folder that hold cases and not policies.
// The code of malformed ones is policy-case-malformed.
func Load(path string) ([]Case, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.yaml")); err != nil {
			return nil, err
		}
	}
	var cases []Case
	for _, f := range files {
		some, err := load(f)
		if err != nil {
			return nil, err
		}
		cases = append(cases, some...)
	}
	if len(cases) == 0 {
		return nil, malformed(path, "holds no test case; one has name, request and expect")
	}
	return cases, nil
}

func load(file string) ([]Case, error) {
	text, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	var cases []Case
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for number := 1; ; number++ {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return cases, nil
		}
		if err != nil {
			return nil, malformed(file, fmt.Sprintf("document %d is not YAML: %v", number, err))
		}
		if document == nil || document["kind"] == policy.Kind {
			continue // a policy that lies beside its cases
		}
		one, err := yaml.Marshal(document)
		if err != nil {
			return nil, err
		}
		c := Case{file: file}
		if err := sigsyaml.UnmarshalStrict(one, &c); err != nil {
			return nil, malformed(file, fmt.Sprintf("document %d: %s", number, strings.ReplaceAll(err.Error(), "error unmarshaling JSON: ", "")))
		}
		if c.Name == "" || c.Request.At.IsZero() {
			return nil, malformed(file, fmt.Sprintf("document %d: name and request.at are needed; a verdict depends on the moment", number))
		}
		cases = append(cases, c)
	}
}

// ReadFile reads a file within the limit. It fails with code policy-file-unreadable.
func ReadFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, unreadable(file, err)
	}
	if len(text) > MaxFile {
		return nil, fault.New(fault.TooLarge, "policy-file-unreadable", "%s is larger than %d bytes; split it", file, MaxFile)
	}
	return text, nil
}

func unreadable(file string, err error) error {
	return fault.New(fault.NotFound, "policy-file-unreadable", "%s cannot be read: %s", file, reason(err)).Because(err)
}

func reason(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

func malformed(file, text string) error {
	return fault.New(fault.Invalid, "policy-case-malformed", "%s %s", file, text)
}

// Set returns the policies that the case is about.
func (c Case) Set() (policy.Set, error) {
	if len(c.Policies) == 0 && len(c.Shipped) == 0 {
		return policy.Shipped(), nil
	}
	var sets []policy.Set
	for _, name := range c.Shipped {
		text, ok := policy.ShippedDocument(name)
		if !ok {
			return policy.Set{}, malformed(c.file, fmt.Sprintf("%s: no shipped policy is called %q; they are %s", c.Name, name, strings.Join(policy.ShippedNames(), ", ")))
		}
		set, err := policy.Parse(text)
		if err != nil {
			return policy.Set{}, err
		}
		sets = append(sets, set)
	}
	for _, file := range c.Policies {
		text, err := ReadFile(filepath.Join(filepath.Dir(c.file), filepath.FromSlash(file)))
		if err != nil {
			return policy.Set{}, err
		}
		set, err := policy.Parse(text)
		if err != nil {
			return policy.Set{}, fmt.Errorf("%s: %w", file, err)
		}
		sets = append(sets, set)
	}
	return policy.Join(sets...)
}

// Run decides the case and returns the verdict and how it differs from what is expected: nothing when it passes.
func (c Case) Run(program *policy.Program, resolve Resolve) (policy.Verdict, []string, error) {
	if err := Complete(&c.Request, resolve); err != nil {
		return policy.Verdict{}, nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	v := program.Decide(c.Request, Records(c.Records), c.Exceptions)
	return v, c.Expect.differences(v), nil
}

// Records answers for the images of a list.
func Records(list []policy.Record) func(digest string) policy.Record {
	return func(digest string) policy.Record {
		for _, r := range list {
			if r.Digest == digest {
				return r
			}
		}
		return policy.Record{Digest: digest}
	}
}

// Complete fills in what the references of a request's images say and the request does not.
func Complete(req *policy.Request, resolve Resolve) error {
	req.Images = slices.Clone(req.Images)
	for i := range req.Images {
		image := &req.Images[i]
		if resolve == nil || image.Registry != "" {
			continue
		}
		read, err := resolve(image.Reference)
		if err != nil {
			return err
		}
		image.Registry, image.Repository, image.Tag = read.Registry, read.Repository, read.Tag
		if read.Digest != "" {
			image.Digest, image.Pinned = read.Digest, true
		}
	}
	return nil
}

func (e Expect) differences(v policy.Verdict) []string {
	var out []string
	if v.Allow != e.Allow {
		out = append(out, fmt.Sprintf("expected %s, got %s", word(e.Allow), word(v.Allow)))
	}
	have := map[string]bool{}
	for _, f := range v.Findings {
		name := f.Policy + "/" + f.Check
		staged := name + ":" + string(f.Stage)
		have[name], have[staged] = true, true
		if !slices.Contains(e.Failures, name) && !slices.Contains(e.Failures, staged) {
			out = append(out, "did not expect "+staged+": "+f.Message)
		}
	}
	for _, want := range e.Failures {
		if !have[want] {
			out = append(out, "expected "+want+", which held")
		}
	}
	if !slices.Equal(v.Exceptions, e.Exceptions) && len(v.Exceptions)+len(e.Exceptions) > 0 {
		out = append(out, fmt.Sprintf("expected the exceptions %v, got %v", e.Exceptions, v.Exceptions))
	}
	return out
}

func word(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}
