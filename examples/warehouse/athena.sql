-- The lake's tables for Athena: the very files that query.py reads, where they lie.
-- Put the bucket's name in, then run the statements one by one:
--   sed "s/LAKE_BUCKET/$LAKE/" examples/warehouse/athena.sql
-- Partitions are projected from the date: no crawler, no MSCK REPAIR, new days are there at once.

CREATE DATABASE IF NOT EXISTS warehouse;

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.raw (
  sequence string,
  event string,
  order_id string,
  order_date date,
  version int,
  status string,
  ordered_at timestamp,
  recorded_at timestamp,
  corrected_at timestamp,
  customer struct<id:string,segment:string,city:string,since:date>,
  store struct<id:string,name:string,city:string>,
  lines array<struct<sku:string,name:string,category:string,quantity:int,unit_price_cents:bigint,discount_cents:bigint>>
)
PARTITIONED BY (`date` string)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/raw/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.date.type' = 'date',
  'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2020-01-01,NOW+1DAYS',
  'storage.location.template' = 's3://LAKE_BUCKET/raw/date=${date}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.fact_sales (
  date_key int,
  customer_key bigint,
  product_key bigint,
  store_key bigint,
  order_id string,
  line int,
  quantity int,
  unit_price_cents bigint,
  discount_cents bigint,
  amount_cents bigint,
  version int,
  ordered_at timestamp
)
PARTITIONED BY (`date` string)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/warehouse/fact_sales/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.date.type' = 'date',
  'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2020-01-01,NOW+1DAYS',
  'storage.location.template' = 's3://LAKE_BUCKET/warehouse/fact_sales/date=${date}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.fact_orders (
  date_key int,
  customer_key bigint,
  store_key bigint,
  order_id string,
  version int,
  lines int,
  units int,
  first_amount_cents bigint,
  amount_cents bigint,
  is_late boolean,
  is_corrected boolean,
  is_cancelled boolean,
  ordered_at timestamp,
  recorded_at timestamp
)
PARTITIONED BY (`date` string)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/warehouse/fact_orders/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.date.type' = 'date',
  'projection.date.format' = 'yyyy-MM-dd',
  'projection.date.range' = '2020-01-01,NOW+1DAYS',
  'storage.location.template' = 's3://LAKE_BUCKET/warehouse/fact_orders/date=${date}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.dim_customer (
  customer_key bigint,
  customer_id string,
  segment string,
  city string,
  valid_from date,
  valid_to date,
  is_current boolean,
  updated_at timestamp
)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/warehouse/dim_customer/';

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.dim_product (
  product_key bigint,
  sku string,
  name string,
  category string,
  updated_at timestamp
)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/warehouse/dim_product/';

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.dim_store (
  store_key bigint,
  store_id string,
  name string,
  city string,
  updated_at timestamp
)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/warehouse/dim_store/';

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.dim_date (
  date_key int,
  day date,
  year int,
  quarter int,
  month int,
  week int,
  weekday int,
  is_weekend boolean
)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/warehouse/dim_date/';

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.daily_sales (
  date_key int,
  store string,
  category string,
  orders bigint,
  units bigint,
  amount_cents bigint
)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/marts/daily_sales/';

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.product_sales (
  month string,
  sku string,
  product string,
  category string,
  units bigint,
  amount_cents bigint
)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/marts/product_sales/';

CREATE EXTERNAL TABLE IF NOT EXISTS warehouse.daily_orders (
  date_key int,
  store string,
  orders bigint,
  lines bigint,
  units bigint,
  late bigint,
  corrected bigint,
  cancelled bigint,
  first_amount_cents bigint,
  amount_cents bigint
)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/marts/daily_orders/';
