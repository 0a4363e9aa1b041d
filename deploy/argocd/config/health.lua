-- The health of a ConfigMap that a sluice server reads: what the server says of its rollout, in annotations.
--
-- Argo CD asks this for every ConfigMap it manages, so one without them is Healthy. Its Lua has no string library.
local health = {}
local annotations = {}
if obj.metadata ~= nil and obj.metadata.annotations ~= nil then
  annotations = obj.metadata.annotations
end

local phase = annotations["sluice.dev/phase"]
if phase == nil then
  health.status = "Healthy"
  return health
end

-- The chart writes the first, the server the second: until they agree, the phase is about the commit before.
local wanted = annotations["sluice.dev/values-revision"]
if wanted ~= nil and wanted ~= annotations["sluice.dev/observed-revision"] then
  health.status = "Progressing"
  health.message = "the server has not seen this commit yet"
  return health
end

local statuses = {
  Healthy = "Healthy",
  Progressing = "Progressing",
  Paused = "Suspended",
  Degraded = "Degraded",
}
health.status = statuses[phase] or "Unknown"
health.message = annotations["sluice.dev/message"] or ""
return health
