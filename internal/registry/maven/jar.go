package maven

// isZip reports whether files with the extension are zip archives that are looked into.
func isZip(extension string) bool {
	switch extension {
	case "jar", "war", "ear", "rar", "aar", "zip", "nbm", "hpi", "jpi", "kar", "eba", "car":
		return true
	}
	return false
}

// inspectJar looks into an archive.
func (r *Registry) inspectJar(f *incoming) error { return nil }
