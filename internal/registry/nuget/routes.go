package nuget

import (
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// Routes returns every route; Handler serves nothing else.
func (r *Registry) Routes() []registry.Route {
	g := r.guard()
	const read, publish = evidence.Read, evidence.Publish
	const login = "pushing needs a token of this registry; give it to nuget push as -ApiKey"
	all := []registry.Route{
		g.Anyone("GET", "/v3/index.json", r.serveIndex),

		g.InBody("PUT", "/"+publishPath, publish, login, r.pushPackage),
		g.InBody("PUT", "/"+publishPath+"/{$}", publish, login, r.pushPackage), // NuGet.exe adds the slash
		g.InBody("PUT", "/"+symbolsPath, publish, login, r.pushSymbols),
		g.InBody("PUT", "/"+symbolsPath+"/{$}", publish, login, r.pushSymbols),
		g.Named("DELETE", "/"+publishPath+"/{name}/{version}", publish, pathName, r.unlist),
		g.Named("POST", "/"+publishPath+"/{name}/{version}", publish, pathName, r.relist),
		g.Named("PUT", "/"+publishPath+"/{name}/deprecations", publish, pathName, r.setDeprecation),
		g.Named("POST", "/"+publishPath+"/create-verification-key/{name}/{version}", publish, pathName, r.makeKey),
		g.Anyone("GET", "/api/v2/verifykey/{name}/{version}", r.useKey),
		g.Anyone("POST", "/api/v2/token", r.exchange),

		g.Named("GET", "/"+flatPath+"{name}/index.json", read, pathName, r.serveVersions),
		g.Named("GET", "/"+flatPath+"{name}/{version}/{file}", read, pathName, r.serveFile),
		g.Visitor("GET", "/"+queryPath, r.search),
		g.Visitor("GET", "/"+completePath, r.complete),
		g.Anyone("GET", "/"+vulnPath, r.serveVulnerabilities),
		g.Anyone("GET", "/v3/vulnerabilities/{state}", r.serveVulnerabilityPage),
		g.Anyone("GET", "/"+signersPath, r.serveSigners),
		g.Anyone("GET", "/"+signerFolder+"{file}", r.serveSigner),
		g.Visitor("GET", "/"+catalogPath+"index.json", r.serveCatalog),
		g.Named("GET", "/"+catalogPath+"{name}/{file}", read, pathName, r.serveCatalogFile),

		g.Named("GET", "/"+pagesPath+"{name}/{version}", read, pathName, r.servePage("package")),
		g.Named("GET", "/"+pagesPath+"{name}/{version}/report", read, pathName, r.servePage("report")),
		g.Visitor("GET", "/"+ownersPath+"{owner}", r.serveOwner),
	}
	for _, h := range hives() {
		all = append(all,
			g.Named("GET", "/"+h.path+"{name}/{file}", read, pathName, r.serveRegistration(h)),
			g.Named("GET", "/"+h.path+"{name}/page/{lower}/{upper}", read, pathName, r.serveRegistrationPage(h)))
	}
	return all
}
