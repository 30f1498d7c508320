package pypi

// Attestations checks the attestations that come with a file.
type Attestations interface{}

func (f file) provenancePath(name string) string {
	return "/integrity/" + name + "/" + f.Version + "/" + f.File + "/provenance"
}
