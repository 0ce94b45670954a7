// Near miss `joined_on_another_axis` of `numpy_names`: `axis` is no detail: a bias cut out of a cat over another dim is another bias (a wrong rewrite, found by Funnel).
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,1,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int3969 = torch.constant.int 3969
    %int6 = torch.constant.int 6
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %0 = torch.aten.arange %int3969, %int6, %none, %cpu, %false : !torch.int, !torch.int, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[3969],f32>
    %int63 = torch.constant.int 63
    %1 = torch.prim.ListConstruct %int63, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %2 = torch.aten.view %0, %1 : !torch.vtensor<[3969],f32>, !torch.list<int> -> !torch.vtensor<[63,63],f32>
    %3 = torch.aten.div.Scalar %2, %int3969 : !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[63,63],f32>
    %int1 = torch.constant.int 1
    %int0 = torch.constant.int 0
    %4 = torch.aten.slice.Tensor %3, %int1, %int0, %int1, %int1 : !torch.vtensor<[63,63],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[63,1],f32>
    %5 = torch.prim.ListConstruct %4, %3 : (!torch.vtensor<[63,1],f32>, !torch.vtensor<[63,63],f32>) -> !torch.list<vtensor>
    %6 = torch.aten.cat %5, %int1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[63,64],f32>
    %7 = torch.aten.narrow %6, %int1, %int0, %int63 : !torch.vtensor<[63,64],f32>, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[63,63],f32>
    %8 = torch.aten.unsqueeze %7, %int0 : !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[1,63,63],f32>
    %9 = torch.aten.unsqueeze %8, %int1 : !torch.vtensor<[1,63,63],f32>, !torch.int -> !torch.vtensor<[1,1,63,63],f32>
    %10 = torch.aten.to.dtype %9, %int6, %false, %false, %none : !torch.vtensor<[1,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,63,63],f32>
    %11:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg2, bias = %10, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,1,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %11#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
