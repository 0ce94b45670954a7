// Near miss `added_mask_not_small_enough` of `causal_by_tril`: -5 added to the future is a bias, not a mask.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[1,1,23,23],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,23,40],f32>, %arg1: !torch.vtensor<[2,4,23,40],f32>, %arg2: !torch.vtensor<[2,4,23,40],f32>) -> !torch.vtensor<[2,4,23,40],f32> {
    %int23 = torch.constant.int 23
    %0 = torch.prim.ListConstruct %int23, %int23 : (!torch.int, !torch.int) -> !torch.list<int>
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %1 = torch.aten.ones %0, %none, %none, %cpu, %false : !torch.list<int>, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[23,23],f32>
    %int1 = torch.constant.int 1
    %2 = torch.aten.triu %1, %int1 : !torch.vtensor<[23,23],f32>, !torch.int -> !torch.vtensor<[23,23],f32>
    %float-5.000000e00 = torch.constant.float -5.000000e+00
    %3 = torch.aten.mul.Scalar %2, %float-5.000000e00 : !torch.vtensor<[23,23],f32>, !torch.float -> !torch.vtensor<[23,23],f32>
    %int0 = torch.constant.int 0
    %4 = torch.aten.unsqueeze %3, %int0 : !torch.vtensor<[23,23],f32>, !torch.int -> !torch.vtensor<[1,23,23],f32>
    %5 = torch.aten.unsqueeze %4, %int1 : !torch.vtensor<[1,23,23],f32>, !torch.int -> !torch.vtensor<[1,1,23,23],f32>
    %int6 = torch.constant.int 6
    %6 = torch.aten.to.dtype %5, %int6, %false, %false, %none : !torch.vtensor<[1,1,23,23],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,23,23],f32>
    %7:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg2, bias = %6, algorithm = "exact") : (!torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[1,1,23,23],f32>) -> (!torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23],f32>) 
    return %7#0 : !torch.vtensor<[2,4,23,40],f32>
  }
}
