package nuget

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
)

// Where things are, below the public URL.
const (
	publishPath  = "api/v2/package"
	symbolsPath  = "api/v2/symbolpackage"
	flatPath     = "v3/flat/"
	queryPath    = "v3/query"
	completePath = "v3/autocomplete"
	vulnPath     = "v3/vulnerabilities/index.json"
	signerFolder = "v3/repository-signatures/"
	signersPath  = signerFolder + "index.json"
	catalogPath  = "v3/catalog/"
	pagesPath    = "packages/"
	ownersPath   = "profiles/"
)

// hive is one of the forms of registrations that the service index tells apart: the first is for clients
// that do not unpack gzip, the second for those that do not know SemVer 2. All are negotiated here.
type hive struct {
	path    string
	semVer2 bool
}

func hives() []hive {
	return []hive{{"v3/registration/", false}, {"v3/registration-gz/", false}, {"v3/registration-gz-semver2/", true}}
}

// resource is an entry of the service index.
type resource struct {
	ID            string `json:"@id"`
	Type          string `json:"@type"`
	Comment       string `json:"comment,omitempty"`
	ClientVersion string `json:"clientVersion,omitempty"`
}

// serveIndex answers GET v3/index.json, which tells clients where everything is.
// Source: NuGet docs, "Service index"; NuGet.Client, ServiceTypes.cs.
func (r *Registry) serveIndex(w http.ResponseWriter, _ *http.Request, _ evidence.Actor) error {
	plain, packed, semver2 := hives()[0].path, hives()[1].path, hives()[2].path
	details := pagesPath + "{id}/{version}"
	var all []resource
	add := func(path string, types ...string) {
		for _, t := range types {
			all = append(all, resource{ID: r.base + path, Type: t})
		}
	}
	add(publishPath, "PackagePublish/2.0.0")
	add(symbolsPath, "SymbolPackagePublish/4.9.0")
	add(flatPath, "PackageBaseAddress/3.0.0")
	add(plain, "RegistrationsBaseUrl", "RegistrationsBaseUrl/3.0.0-beta", "RegistrationsBaseUrl/3.0.0-rc")
	add(packed, "RegistrationsBaseUrl/3.4.0")
	add(semver2, "RegistrationsBaseUrl/3.6.0")
	all = append(all, resource{ID: r.base + semver2, Type: "RegistrationsBaseUrl/Versioned", ClientVersion: "4.3.0-alpha"})
	for _, search := range [][2]string{{queryPath, "SearchQueryService"}, {completePath, "SearchAutocompleteService"}} {
		path, name := search[0], search[1]
		add(path, name, name+"/3.0.0-beta", name+"/3.0.0-rc", name+"/3.5.0")
		all = append(all, resource{ID: r.base + path, Type: name + "/Versioned", ClientVersion: "4.3.0-alpha"})
	}
	add(details+"/report", "ReportAbuseUriTemplate/3.0.0-beta", "ReportAbuseUriTemplate/3.0.0-rc")
	add(details, "PackageDetailsUriTemplate/5.1.0")
	add(ownersPath+"{owner}", "OwnerDetailsUriTemplate/6.11.0")
	add(flatPath+"{lower_id}/{lower_version}/readme", "ReadmeUriTemplate/6.13.0")
	add(vulnPath, "VulnerabilityInfo/6.7.0")
	add(catalogPath+"index.json", "Catalog/3.0.0")
	if r.signer != nil {
		// Over http clients take this for an attack and install nothing.
		add(signersPath, "RepositorySignatures/4.7.0", "RepositorySignatures/4.9.0", "RepositorySignatures/5.0.0")
	}
	return r.respond(w, map[string]any{"version": "3.0.0", "resources": all})
}
