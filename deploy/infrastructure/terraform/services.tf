# The APIs that the rest needs, and those that Crossplane's claims need (redis).
resource "google_project_service" "needed" {
  for_each = toset([
    "aiplatform.googleapis.com",
    "bigquery.googleapis.com",
    "compute.googleapis.com",
    "container.googleapis.com",
    "redis.googleapis.com",
    "servicenetworking.googleapis.com",
    "sqladmin.googleapis.com",
  ])

  service = each.value
  # Others in the project may use them too.
  disable_on_destroy = false
}
