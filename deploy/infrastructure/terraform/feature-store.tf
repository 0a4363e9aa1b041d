# Features for callers of the models, at the latency of a request. The older `google_vertex_ai_featurestore` is not used:
# Google ends that service on 2027-02-17.
#
# sluice itself reads no features: callers send them with the request.

resource "google_vertex_ai_feature_online_store" "features" {
  name          = "ml_production"
  region        = var.region
  labels        = local.labels
  force_destroy = false

  bigtable {
    auto_scaling {
      min_node_count         = 1
      max_node_count         = 3
      cpu_utilization_target = 50
    }
  }

  depends_on = [google_project_service.needed]
}

# Where features are computed; the online store copies from here.
resource "google_bigquery_dataset" "features" {
  dataset_id                 = "features"
  location                   = var.region
  description                = "Feature tables, one per entity type, each with a column feature_timestamp."
  labels                     = local.labels
  delete_contents_on_destroy = false

  depends_on = [google_project_service.needed]
}
