// Near miss `window_without_causal` of `sliding_window`: Keys not older than 15, and all of the future.
// Read as: full, key range, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, first_key = {{%[^,]+}}, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,63],si64>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int63 = torch.constant.int 63
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %0 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int1 = torch.constant.int 1
    %int-1 = torch.constant.int -1
    %1 = torch.prim.ListConstruct %int1, %int-1 : (!torch.int, !torch.int) -> !torch.list<int>
    %2 = torch.aten.view %0, %1 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,63],si64>
    %int-15 = torch.constant.int -15
    %3 = torch.aten.add.Scalar %2, %int-15, %int1 : !torch.vtensor<[1,63],si64>, !torch.int, !torch.int -> !torch.vtensor<[1,63],si64>
    %4 = torch.prim.ListConstruct %int-1, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.expand %3, %4, %false : !torch.vtensor<[1,63],si64>, !torch.list<int>, !torch.bool -> !torch.vtensor<[1,63],si64>
    %int4 = torch.constant.int 4
    %6 = torch.aten.to.dtype %5, %int4, %false, %false, %none : !torch.vtensor<[1,63],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,63],si64>
    %7:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg2, first_key = %6, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,63],si64>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %7#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
